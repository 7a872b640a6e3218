//! Allocations for each piece of an answer.
#![cfg(feature = "http")]

mod support;

use allocation_counter::measure;
use http_body_util::BodyExt;
use pybridge::{CallOptions, Framing};
use pybridge_http::Plain;
use support::engine;
use tokio::runtime::{Builder, Runtime};

/// What an answer needs once: its head, the timer, what watches its pieces.
const PER_ANSWER: u64 = 40;

/// Pieces of an answer, and allocations of the thread that polls it.
fn count(runtime: &Runtime, framing: Framing) -> (u64, u64) {
    let turns = runtime.block_on(engine("turns").into_future()).expect("it is there");
    let mut pieces = 0;
    let answer = async {
        let started = turns.chunks(&b"400"[..], framing, CallOptions::default());
        let mut body = Plain::new(framing).answer(started).await.into_body();
        while let Some(frame) = body.frame().await {
            frame.expect("no failure");
            pieces += 1;
        }
    };
    let allocations = measure(|| runtime.block_on(answer)).count_total;
    (pieces, allocations)
}

/// The handle by which the server shares the memory is all that a piece costs, whether its end is watched or not.
#[test]
fn a_piece_takes_one_allocation() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("no threads are needed");
    for framing in [Framing::Sse, Framing::Ndjson] {
        let (pieces, allocations) = count(&runtime, framing);
        assert!(pieces >= 50, "{pieces}");
        assert!(allocations <= pieces + PER_ANSWER, "{framing:?}: {allocations} for {pieces} pieces");
    }
}
