//! Injected faults: a panic costs one stream, a delay costs nothing but time.

mod support;

use futures_util::StreamExt;
use futures_util::future::join_all;
use pybridge::fault::{Point, arm};
use pybridge::{CallOptions, Engine, Failure, FailureKind, StreamError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyTuple};
use support::{Script, alone, collect, python, run, until};

const SCRIPT: &str = "
import asyncio
class Gate:
    def __init__(self):
        self.loop, self.event = asyncio.get_running_loop(), asyncio.Event()
    def set(self):
        self.loop.call_soon_threadsafe(self.event.set)
closed, go = 0, None
async def handler(request):
    global closed, go
    if request == 4_000_000_000:
        go = Gate()
        yield 0
        await go.event.wait()
        yield 1
        return
    try:
        for number in range(request):
            await asyncio.sleep(0)
            yield number
    finally:
        closed += 1
";

/// A request whose stream waits after its first item.
const PARKED: u32 = 4_000_000_000;

fn call(engine: &Engine, count: u32) -> (Vec<u32>, Option<StreamError>) {
    let engine = engine.clone();
    run(async move { collect(engine.generate::<_, u32>(count, CallOptions::default()).expect("a place")).await })
}

/// So many calls side by side.
fn call_together(engine: &Engine, calls: usize, count: u32) -> Vec<(Vec<u32>, Option<StreamError>)> {
    let engine = engine.clone();
    run(async move {
        let calls = (0..calls).map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                collect(engine.generate::<_, u32>(count, CallOptions::default()).expect("a place")).await
            })
        });
        join_all(calls).await.into_iter().map(|call| call.expect("no panic")).collect()
    })
}

fn internal(ending: Option<StreamError>) -> Failure {
    match ending {
        Some(StreamError::Failed(failure)) if failure.kind == FailureKind::Internal => *failure,
        other => panic!("{other:?}"),
    }
}

/// A panic ends its stream as an internal error, with what came before it; the engine and other streams go on.
/// Guarantee S-13.
#[test]
fn a_panic_ends_one_stream_and_its_handler_is_closed() {
    let _alone = alone();
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    let other = engine.clone();
    let parked = run(async move {
        let mut parked = other.generate::<_, u32>(PARKED, CallOptions::default()).expect("a place");
        assert_eq!(parked.next().await.expect("an item").expect("no failure"), 0);
        parked
    });
    let points = [(Point::Encode, 1), (Point::Encode, 4), (Point::Step, 3), (Point::Acquire, 1), (Point::Acquire, 4)];
    for (closed, (point, nth)) in points.into_iter().enumerate() {
        arm(point, nth, 0);
        let (items, ending) = call(&engine, 10);
        let failure = internal(ending);
        assert!(failure.public_message.starts_with("internal error"), "{}", failure.public_message);
        assert!(items.len() < 10 && items.iter().copied().eq(0..items.len() as u32), "{point:?} {nth}: {items:?}");
        assert_eq!(script.eval("closed"), (closed * 2 + 1).to_string(), "{point:?} {nth}");

        let (items, ending) = call(&engine, 10);
        assert!(ending.is_none() && items.len() == 10, "{point:?} {nth}: {ending:?}");
    }
    assert_eq!(engine.live(), 1);
    script.eval("go.set()");
    let rest = run(async move { collect(parked).await.0 });
    assert_eq!(rest, [1]);
}

/// The request is never decoded and the handler never called.
/// Guarantee S-13.
#[test]
fn a_panic_while_a_request_is_decoded_ends_its_stream() {
    let _alone = alone();
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    arm(Point::Decode, 1, 0);
    let (items, ending) = call(&engine, 10);
    internal(ending);
    assert!(items.is_empty(), "{items:?}");
    assert_eq!(script.eval("closed"), "0");
    let (items, ending) = call(&engine, 10);
    assert!(ending.is_none() && items.len() == 10, "{ending:?}");
}

/// What is lost on the way to its consumers ends their streams; what is not is exact.
/// Guarantee S-13.
#[test]
fn a_panic_in_a_hand_over_ends_all_streams_that_it_was_for_and_no_other() {
    let _alone = alone();
    let script = Script::new(&format!("{SCRIPT}\nfrom pybridge import PooledEngine\nengine = PooledEngine(handler)\n"));
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    for nth in 1..6 {
        arm(Point::Send, nth, 0);
        let mut lost = 0;
        for (items, ending) in call_together(&engine, 64, 20) {
            assert!(items.iter().copied().eq(0..items.len() as u32), "{nth}: {items:?}");
            if ending.is_some() {
                internal(ending);
                lost += 1;
            } else {
                assert_eq!(items.len(), 20, "{nth}");
            }
        }
        assert!(lost > 0, "{nth}");
        let (items, ending) = call(&engine, 20);
        assert!(ending.is_none() && items.len() == 20, "{nth}: {ending:?}");
    }
    let idle = engine.clone();
    run(async move { until(|| idle.live() == 0).await });
    run(async move { until(move || script.eval("engine.stats().pool.live_bytes") == "0").await });
}

/// Some consumers are on the worker's loop and some elsewhere; each stream is exact, or ends as an internal error.
/// Guarantee S-13.
#[test]
fn a_panic_in_one_delivery_ends_its_stream_and_no_other() {
    let _alone = alone();
    let script = Script::new(&format!(
        "{SCRIPT}
from pybridge import PooledEngine
inner = PooledEngine(handler, name='inner')
async def outer(request):
    async for item in inner(request):
        yield item
engine = PooledEngine(outer, worker='dedicated', name='outer')
"
    ));
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    let mut lost_in_all = 0;
    for nth in 1..60 {
        arm(Point::Deliver, nth, 0);
        let mut lost = 0;
        for (items, ending) in call_together(&engine, 8, 10) {
            assert!(items.iter().copied().eq(0..items.len() as u32), "{nth}: {items:?}");
            if ending.is_some() {
                internal(ending);
                lost += 1;
            } else {
                assert_eq!(items.len(), 10, "{nth}");
            }
        }
        arm(Point::Deliver, 0, 0);
        assert!(lost <= 1, "{nth}: {lost}");
        lost_in_all += lost;
    }
    assert!(lost_in_all >= 50, "{lost_in_all}");
    let idle = engine.clone();
    run(async move { until(|| idle.live() == 0).await });
    run(async move {
        until(move || script.eval("inner.stats().streams.live, inner.stats().pool.live_bytes") == "(0, 0)").await;
    });
}

/// A host's waker is foreign code: its panic reaches neither the worker nor other consumers.
/// Guarantee S-13.
#[test]
fn a_consumer_whose_waker_panics_stops_no_delivery_to_others() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("a consumer's waker");
        }
    }
    let _alone = alone();
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
    let mut broken: Vec<_> =
        (0..8).map(|_| engine.frames(&b"\x0a"[..], CallOptions::default()).expect("a place")).collect();
    for stream in &mut broken {
        let _ = stream.poll_next_unpin(&mut std::task::Context::from_waker(&waker));
    }
    for (items, ending) in call_together(&engine, 8, 20) {
        assert!(ending.is_none() && items.len() == 20, "{ending:?}");
    }
    run(async move {
        for stream in broken {
            // Nobody told it, and nothing is missing.
            let (frames, ending) = collect(stream).await;
            assert!(ending.is_none() && frames.len() == 10, "{ending:?}");
        }
    });
}

/// A panic where a Python consumer's item is decoded is no `PanicException`.
/// Guarantee S-13.
#[test]
fn a_panic_while_an_item_is_decoded_is_an_internal_error_for_its_consumer() {
    let _alone = alone();
    let script = Script::new(&format!(
        "{SCRIPT}
from pybridge import InternalError, PooledEngine
engine = PooledEngine(handler)
def consume():
    items = engine.iter(10)
    taken = [next(items)]
    arm(2)
    try:
        taken.extend(items)
    except InternalError as error:
        return taken, str(error), list(items)
"
    ));
    python(|py| {
        let arm_decode = PyCFunction::new_closure(py, None, None, |args: &Bound<'_, PyTuple>, _| -> PyResult<()> {
            arm(Point::Decode, args.get_item(0)?.extract()?, 0);
            Ok(())
        });
        script.module(py).setattr("arm", arm_decode.expect("a function")).expect("set");
    });
    let found = script.eval("consume()");
    assert_eq!(found, "([0, 1], 'internal error: a Rust panic ended this stream', [])");
    assert_eq!(script.eval("list(engine.iter(3))"), "[0, 1, 2]");
}

#[test]
fn a_late_wake_up_or_hand_over_loses_nothing() {
    let _alone = alone();
    let engine = Script::new(SCRIPT).engine();
    for point in [Point::Wakeup, Point::Send] {
        for nth in 1..4 {
            arm(point, nth, 20_000);
            let (items, ending) = call(&engine, 200);
            assert!(ending.is_none(), "{point:?} {nth}: {ending:?}");
            assert!(items.iter().copied().eq(0..200), "{point:?} {nth}: {items:?}");
        }
    }
    run(async move { until(|| engine.live() == 0).await });
}
