//! How often the writer asks malloc, counted by a global allocator; a binary of its own.

#![allow(unsafe_code, reason = "a global allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pybridge_pool::Writer;
use support::pool;

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

fn allocations(act: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

fn batch(writer: &mut Writer, frames: usize, len: usize) {
    for _ in 0..frames {
        writer.begin(0);
        writer.put(&[7; 8192][..len]);
        writer.commit();
    }
}

#[test]
fn steady_state_allocates_nothing_for_a_frame_and_at_most_once_for_a_batch() {
    for (frames, len) in [(1, 50), (1, 512), (4, 200), (16, 512), (64, 100), (64, 700)] {
        let pool = pool();
        let mut writer = pool.writer();
        let turn = |writer: &mut Writer| {
            batch(writer, frames, len);
            let mut batches = 0;
            writer.seal(|batch| {
                drop(batch);
                batches += 1;
            });
            batches
        };
        for _ in 0..2000 {
            turn(&mut writer);
        }
        for _ in 0..2000 {
            let mut batches = 0;
            let count = allocations(|| batches = turn(&mut writer));
            assert!(count <= batches, "{count} allocations for {batches} batches of {frames} frames of {len} bytes");
        }
    }
}

#[test]
fn a_large_frame_that_finds_a_parked_buffer_allocates_only_its_owner() {
    let pool = pool();
    let mut writer = pool.writer();
    let payload = vec![7; 1 << 20];
    let mut turn = || {
        writer.begin(payload.len());
        writer.put(&payload);
        writer.commit();
        writer.seal(drop);
    };
    (0..4).for_each(|_| turn());
    assert_eq!(allocations(turn), 1);
}
