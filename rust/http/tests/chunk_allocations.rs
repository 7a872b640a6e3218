//! Allocations for each piece of an answer, counted by a global allocator; a binary of its own.
#![cfg(feature = "http")]
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http_body_util::BodyExt;
use pybridge::{CallOptions, Framing};
use pybridge_http::Plain;
use support::engine;

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
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What an answer needs once: its head, the timer, what watches its pieces.
const PER_ANSWER: usize = 40;

/// Pieces of an answer, and allocations of the thread that polls it.
async fn count(framing: Framing) -> (usize, usize) {
    let turns = engine("turns").await.expect("it is there");
    let started = turns.chunks(&b"400"[..], framing, CallOptions::default());
    let before = ALLOCATIONS.get();
    let mut body = Plain::new(framing).answer(started).await.into_body();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        frame.expect("no failure");
        pieces += 1;
    }
    (pieces, ALLOCATIONS.get() - before)
}

/// The handle by which the server shares the memory is all that a piece costs, whether its end is watched or not.
#[test]
fn a_piece_takes_one_allocation() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no threads are needed");
    for framing in [Framing::Sse, Framing::Ndjson] {
        let (pieces, allocations) = runtime.block_on(count(framing));
        assert!(pieces >= 50, "{pieces}");
        assert!(allocations <= pieces + PER_ANSWER, "{framing:?}: {allocations} for {pieces} pieces");
    }
}
