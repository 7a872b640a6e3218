//! How often encoding asks malloc, counted by a global allocator; a binary of its own.
#![allow(unsafe_code, reason = "a global allocator that counts")]
#![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::CString;
use std::sync::Arc;

use pybridge::codec::{CodecSpec, Encoder, Format, Framing, Limits};
use pybridge::{Pool, PoolConfig};
use pybridge_pool::Writer;
use pyo3::prelude::*;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SMALL: [&str; 8] = [
    "{'token': 'hello', 'id': 15339, 'logprob': -0.25, 'finish_reason': None, 'done': False}",
    "{'choices': [{'index': 0, 'delta': {'content': ' streaming'}}], 'tuple': (1, 2.5, 'x' * 300)}",
    "[1, -1, 2**63, 0.1, 1e300, True, None, [], {}, ()]",
    "'é' * 200",
    "['日本語' * 300, {'ключ': '😀' * 400}]",
    "'a\"\\n' * 2000",
    "[0.5] * 1000",
    "type('S', (str,), {})('subclass')",
];

/// A segment is left earlier where escapes might not have fitted; so many more of them for 400 frames.
const SEGMENTS: usize = 8;

/// Allocations of turns of eight frames each, after the pool has seen many of them.
fn allocations(mut frame: impl FnMut(&mut Writer)) -> usize {
    let mut out = Pool::new(PoolConfig::default()).unwrap().writer();
    let mut turn = || {
        (0..8).for_each(|_| frame(&mut out));
        out.seal(drop);
    };
    (0..200).for_each(|_| turn());
    let before = ALLOCATIONS.get();
    (0..50).for_each(|_| turn());
    ALLOCATIONS.get() - before
}

#[test]
fn encoding_builtin_types_allocates_nothing_outside_the_pool() {
    Python::attach(|py| {
        for format in [Format::Msgpack, Format::Json] {
            for code in SMALL {
                let item = py.eval(&CString::new(code).unwrap(), None, None).unwrap();
                let spec = Arc::new(CodecSpec::from(format));
                let mut encoder = Encoder::new(spec, Framing::None, Arc::new(Limits::default()));
                let mut len = 0;
                let encoding = allocations(|out| len = encoder.encode(&item, out).unwrap());
                let bytes = vec![7; len];
                let copying = allocations(|out| {
                    out.begin(0);
                    out.put(&bytes);
                    out.commit();
                });
                assert!(encoding <= copying + SEGMENTS, "{format:?} {code}: {encoding}, a mere copy {copying}");
            }
        }
    });
}

#[test]
fn a_megabyte_of_any_text_takes_one_buffer_of_the_pool() {
    Python::attach(|py| {
        for format in [Format::Msgpack, Format::Json, Format::Raw] {
            for code in ["'x' * 1_000_000", "'é' * 500_000", "'日' * 333_333", "'😀' * 250_000"] {
                let item = py.eval(&CString::new(code).unwrap(), None, None).unwrap();
                let spec = Arc::new(CodecSpec::from(format));
                let mut out = Pool::new(PoolConfig::default()).unwrap().writer();
                let mut encoder = Encoder::new(spec, Framing::None, Arc::new(Limits::default()));
                let mut turn = || {
                    let before = ALLOCATIONS.get();
                    encoder.encode(&item, &mut out).unwrap();
                    let made = ALLOCATIONS.get() - before;
                    out.seal(drop);
                    made
                };
                for _ in 0..4 {
                    turn();
                }
                assert!(turn() <= 1, "{format:?} {code}: only the owner of the frame");
            }
        }
    });
}
