//! Injected faults: a panic costs one stream, a delay costs nothing but time.

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use pybridge_bridge::fault::{Point, arm};
use pybridge_bridge::{CallOptions, Engine, Failure, FailureKind, StreamError};
use support::{Script, collect, run, until};

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

/// Faults are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn call(engine: &Engine, count: u32) -> (Vec<u32>, Option<StreamError>) {
    let engine = engine.clone();
    run(async move { collect(engine.generate::<_, u32>(count, CallOptions::default()).await.expect("a place")).await })
}

fn internal(ending: Option<StreamError>) -> Failure {
    match ending {
        Some(StreamError::Failed(failure)) if failure.kind == FailureKind::Internal => *failure,
        other => panic!("{other:?}"),
    }
}

/// S-35: a panic ends its stream as an internal error, with what came before it; the engine and other streams go on.
#[test]
fn a_panic_ends_one_stream_and_its_handler_is_closed() {
    let _alone = alone();
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    let other = engine.clone();
    let parked = run(async move {
        let mut parked = other.generate::<_, u32>(PARKED, CallOptions::default()).await.expect("a place");
        assert_eq!(parked.next().await.expect("an item").expect("no failure"), 0);
        parked
    });
    for (closed, (point, nth)) in [(Point::Encode, 1), (Point::Encode, 4), (Point::Step, 3)].into_iter().enumerate() {
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
