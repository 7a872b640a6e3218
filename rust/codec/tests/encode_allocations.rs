//! Allocations that encoding asks malloc for.
#![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

use std::ffi::CString;
use std::sync::Arc;

use allocation_counter::measure;
use pybridge_codec::{CodecSpec, Encoder, Format, Framing, Limits};
use pybridge_pool::{Pool, PoolConfig, Writer};
use pyo3::prelude::*;

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
const SEGMENTS: u64 = 8;

/// Allocations of turns of eight frames each, after the pool has seen many of them.
fn allocations(mut frame: impl FnMut(&mut Writer)) -> u64 {
    let mut out = Pool::new(PoolConfig::default()).unwrap().writer();
    let mut turn = || {
        (0..8).for_each(|_| frame(&mut out));
        out.seal(drop);
    };
    (0..200).for_each(|_| turn());
    measure(|| (0..50).for_each(|_| turn())).count_total
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
                    let encode = || {
                        encoder.encode(&item, &mut out).unwrap();
                    };
                    let made = measure(encode).count_total;
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
