//! Places that hosts hold before they have a request.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use pybridge::codec::to_bytes;
use pybridge::{CallOptions, Engine, FailureKind, FlowConfig, Format, Framing, Limits, Permit, StreamError};
use support::{Script, collect, run, until};

const COUNT: &str = "
async def handler(request):
    for number in range(request):
        yield number
";

fn engine(flow: FlowConfig) -> Engine {
    Script::new(COUNT).engine_with(|builder| builder.flow(flow))
}

fn request(count: u32) -> Vec<u8> {
    to_bytes(Format::Msgpack, &count).expect("a number")
}

async fn permit(engine: &Engine) -> Permit {
    engine.acquire_permit().await.expect("it serves")
}

fn kind<T>(answer: Result<T, StreamError>) -> Option<FailureKind> {
    answer.err().and_then(|error| error.kind())
}

#[test]
fn a_call_starts_in_the_place_of_its_permit_and_gives_it_back() {
    let engine = engine(FlowConfig::default().max_concurrency(1).max_queue(0));
    run(async move {
        for _ in 0..3 {
            let permit = permit(&engine).await;
            assert_eq!(kind(engine.frames(request(1), CallOptions::default())), Some(FailureKind::Overloaded));
            assert_eq!(kind(engine.acquire_permit().await), Some(FailureKind::Overloaded));
            let frames = permit.frames(request(2), CallOptions::default()).expect("it has a place");
            let (frames, ending) = collect(frames).await;
            assert!(frames.len() == 2 && ending.is_none(), "{ending:?}");
            until(|| engine.live() == 0).await;
        }
        let chunks = permit(&engine).await.chunks(request(2), Framing::Ndjson, CallOptions::default());
        let (chunks, ending) = collect(chunks.expect("it has a place")).await;
        assert!(ending.is_none(), "{ending:?}");
        assert_eq!(chunks.concat(), b"0\n1\n");
    });
}

#[test]
fn a_permit_that_is_dropped_or_whose_call_is_refused_gives_its_place_back() {
    let engine = Script::new(COUNT).engine_with(|builder| {
        let flow = FlowConfig::default().max_concurrency(1).max_queue(0);
        builder.flow(flow).limits(Limits::default().max_frame_bytes(100))
    });
    run(async move {
        drop(permit(&engine).await);
        let refused = permit(&engine).await.frames(vec![0; 101], CallOptions::default());
        assert_eq!(kind(refused), Some(FailureKind::TooLarge));
        let refused = permit(&engine).await.frames(request(1), CallOptions::default().request_id("\n"));
        assert_eq!(kind(refused), Some(FailureKind::InvalidArgument));
        permit(&engine).await;
    });
}

#[test]
fn who_waits_for_a_permit_learns_that_the_engine_takes_no_more_calls() {
    let engine = engine(FlowConfig::default().max_concurrency(1));
    run(async move {
        let held = permit(&engine).await;
        let mut waiting = Box::pin(engine.acquire_permit());
        assert!((&mut waiting).now_or_never().is_none());
        engine.close();
        assert_eq!(kind(waiting.await), Some(FailureKind::Closed));
        assert_eq!(kind(engine.acquire_permit().await), Some(FailureKind::Closed));
        assert_eq!(kind(held.frames(request(1), CallOptions::default())), Some(FailureKind::Closed));
    });
}

/// Whatever is dropped at whatever moment, as many hold a place as may, and none is lost.
#[test]
fn no_place_is_lost_or_given_twice_when_many_come_and_go() {
    const PLACES: usize = 3;
    let engine = engine(FlowConfig::default().max_concurrency(PLACES));
    run(async move {
        let held = Arc::new(AtomicUsize::new(0));
        let tasks = (0..64_u64).map(|number| {
            let (engine, held) = (engine.clone(), Arc::clone(&held));
            tokio::spawn(async move {
                for turn in 0..50 {
                    let patience = Duration::from_micros((number * 37 + turn * 101) % 400);
                    let Ok(permit) = tokio::time::timeout(patience, engine.acquire_permit()).await else { continue };
                    let permit = permit.expect("it serves");
                    assert!(held.fetch_add(1, Ordering::SeqCst) < PLACES, "more permits than places");
                    tokio::task::yield_now().await;
                    held.fetch_sub(1, Ordering::SeqCst);
                    match (number + turn) % 3 {
                        0 => drop(permit),
                        1 => drop(permit.frames(request(3), CallOptions::default()).expect("it has a place")),
                        _ => {
                            let frames = permit.frames(request(3), CallOptions::default()).expect("it has a place");
                            assert_eq!(collect(frames).await.0.len(), 3);
                        }
                    }
                }
            })
        });
        for task in join_all(tasks).await {
            task.expect("no panic");
        }
        until(|| engine.live() == 0).await;
        let all = join_all((0..PLACES).map(|_| permit(&engine))).await;
        assert!(engine.acquire_permit().now_or_never().is_none(), "{} places", all.len());
    });
}
