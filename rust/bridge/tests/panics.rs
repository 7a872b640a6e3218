//! A panic in any phase of a stream: exactly one ending, nothing live, and the next call goes on.

mod support;

use std::sync::Arc;

use pybridge::fault::{Point, arm};
use pybridge::{CallOptions, Engine, FailureKind, FlowConfig, StreamError};
use support::{Script, alone, collect, run, until};

/// Handlers by the phase that they pass through; each counts how often its cleanup was entered and left.
const SCRIPT: &str = "
import asyncio
entered = left = 0
async def items(kind):
    global entered, left
    entered += 1
    try:
        if kind == 'waits':
            await asyncio.sleep(0)
        yield 1
        if kind == 'unencodable':
            yield object()
        await asyncio.sleep(0)
        yield 2
    finally:
        try:
            await asyncio.sleep(0)
        finally:
            left += 1
class Iterator:
    def __init__(self):
        self.inner = items('waits')
    def __aiter__(self):
        return self
    async def __anext__(self):
        return await anext(self.inner)
    async def aclose(self):
        await self.inner.aclose()
async def returning(kind):
    await asyncio.sleep(0)
    return items('plain')
def handler(kind):
    match kind:
        case 'coroutine': return returning(kind)
        case 'iterator': return Iterator()
        case _: return items(kind)
";

fn engine(script: &Script) -> Engine {
    script.engine_with(|builder| builder.flow(FlowConfig::default().max_concurrency(1).max_queue(0)))
}

fn call(engine: &Engine, kind: &'static str) -> (Vec<u32>, Option<StreamError>) {
    let engine = engine.clone();
    run(async move { collect(engine.generate::<_, u32>(kind, CallOptions::default()).expect("a place")).await })
}

/// Whatever the phase, `finally` runs where the handler had begun, and the one place is free again.
/// Guarantee S-12.
#[test]
fn a_panic_in_any_phase_is_one_internal_error_and_gives_the_place_back() {
    let _alone = alone();
    let script = Arc::new(Script::new(SCRIPT));
    let engine = engine(&script);
    let points = [
        (Point::Step, 1..=7),
        (Point::Decode, 1..=1),
        (Point::Call, 1..=1),
        (Point::Encode, 1..=2),
        (Point::Acquire, 1..=2),
        (Point::Close, 1..=1),
        (Point::Finish, 1..=1),
        (Point::Send, 1..=3),
    ];
    for kind in ["plain", "waits", "coroutine", "iterator", "unencodable"] {
        for (point, nth) in points.iter().flat_map(|(point, range)| range.clone().map(move |nth| (*point, nth))) {
            let place = format!("{kind}, {point:?} {nth}");
            arm(point, nth, 0);
            let (items, ending) = call(&engine, kind);
            arm(point, 0, 0);
            assert!([1, 2].starts_with(&items), "{place}: {items:?}");
            match ending {
                None => assert_eq!(items, [1, 2], "{place}: a clean end has every item"),
                Some(StreamError::Failed(failure)) => {
                    let kinds = [FailureKind::Internal, FailureKind::Encode];
                    assert!(kinds.contains(&failure.kind), "{place}: {failure:?}");
                }
                Some(other) => panic!("{place}: {other:?}"),
            }
            let (idle, script) = (engine.clone(), Arc::clone(&script));
            // Where the hand-over panicked the ending does not wait for the cleanup.
            run(async move { until(|| idle.live() == 0 && script.eval("entered == left") == "True").await });
        }
        let (items, ending) = call(&engine, "plain");
        assert!(ending.is_none() && items == [1, 2], "after {kind}: {items:?} {ending:?}");
    }
}

/// A panic while a panic is being dealt with: the handler may be lost, the ending is not.
#[test]
fn a_second_panic_on_the_way_to_the_ending_is_still_an_ending() {
    let _alone = alone();
    let script = Script::new(SCRIPT);
    let engine = engine(&script);
    for (first, second) in [(Point::Step, Point::Close), (Point::Call, Point::Close), (Point::Close, Point::Finish)] {
        arm(first, 1, 0);
        arm(second, 1, 0);
        let (_, ending) = call(&engine, "plain");
        arm(second, 0, 0);
        assert!(
            matches!(&ending, None | Some(StreamError::Failed(_))),
            "{first:?}, {second:?}: an ending of its own: {ending:?}"
        );
        let idle = engine.clone();
        run(async move { until(|| idle.live() == 0).await });
        let (items, ending) = call(&engine, "plain");
        assert!(ending.is_none() && items == [1, 2], "{first:?}, {second:?}: {items:?} {ending:?}");
    }
}
