//! Readiness before the first call: lifespans that are entered, fail, or lose their engine.

mod support;

use bytes::Bytes;
use futures_util::FutureExt;
use pybridge::{CallOptions, Engine, FailureKind};
use pyo3::types::PyAnyMethods;
use support::{Script, collect, python, run, until};

/// Each entering waits for its turn, then fails if it is told to.
const SCRIPT: &str = "
import asyncio, contextlib
entered, left, failures = [], [], []
gate = True

@contextlib.asynccontextmanager
async def lifespan():
    while not gate:
        await asyncio.sleep(0.001)
    if failures:
        raise failures.pop()
    entered.append(1)
    yield 'state'
    left.append(1)

async def handler(request, context):
    yield context.state
";

fn with_lifespan(script: &Script) -> Engine {
    let lifespan = python(|py| script.module(py).getattr("lifespan").expect("defined").unbind());
    script.engine_with(|builder| builder.lifespan(lifespan))
}

async fn first_item(engine: &Engine) -> Bytes {
    let frames = engine.frames(&b"\xc0"[..], CallOptions::default()).expect("a place");
    let (mut items, ending) = collect(frames).await;
    assert!(ending.is_none(), "{ending:?}");
    Bytes::copy_from_slice(&items.remove(0))
}

#[test]
fn a_ready_engine_has_entered_its_lifespan_once_and_calls_find_its_state() {
    let script = Script::new(SCRIPT);
    let engine = with_lifespan(&script);
    run(async move {
        engine.ready().await.expect("nothing fails");
        assert_eq!(script.eval("len(entered)"), "1");
        engine.ready().await.expect("nothing fails");
        assert_eq!(first_item(&engine).await, Bytes::from_static(b"\xa5state"));
        assert_eq!(script.eval("len(entered), len(left)"), "(1, 0)");
    });
}

#[test]
fn an_engine_without_a_lifespan_is_ready() {
    let engine = Script::new(SCRIPT).engine();
    run(async move { engine.ready().await.expect("nothing fails") });
}

#[test]
fn what_a_lifespan_raises_is_the_error_and_the_next_try_enters_it_again() {
    let script = Script::new(SCRIPT);
    let engine = with_lifespan(&script);
    script.eval("failures.append(LookupError('no model'))");
    run(async move {
        let error = engine.ready().await.expect_err("it raised");
        let detail = error.detail().expect("a failure");
        assert_eq!((error.kind(), detail.class.as_str()), (Some(FailureKind::Handler), "LookupError"));
        assert_eq!(detail.message, "no model");
        assert!(detail.traceback.as_ref().is_some_and(|text| text.contains("in lifespan")), "{detail:?}");
        engine.ready().await.expect("the second try");
    });
}

#[test]
fn an_exit_in_a_lifespan_is_contained() {
    let script = Script::new(SCRIPT);
    let engine = with_lifespan(&script);
    script.eval("failures.append(SystemExit(3))");
    run(async move {
        let error = engine.ready().await.expect_err("it raised");
        assert_eq!(error.kind(), Some(FailureKind::HandlerExit));
    });
}

#[test]
fn all_who_wait_are_told_together_and_who_gives_up_stops_nothing() {
    let script = Script::new(SCRIPT);
    let engine = with_lifespan(&script);
    script.eval("globals().update(gate=False)");
    run(async move {
        let mut first = Box::pin(engine.ready());
        let mut given_up = Box::pin(engine.ready());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(given_up.as_mut().now_or_never().is_none());
        drop(given_up);
        let item = first_item(&engine);
        script.eval("globals().update(gate=True)");
        let (ready, item) = futures_util::future::join(first, item).await;
        ready.expect("nothing fails");
        assert_eq!(item, Bytes::from_static(b"\xa5state"));
        assert_eq!(script.eval("len(entered)"), "1");
    });
}

#[test]
fn a_closed_engine_does_not_become_ready() {
    let script = Script::new(SCRIPT);
    let engine = with_lifespan(&script);
    run(async move {
        engine.ready().await.expect("nothing fails");
        engine.close();
        let error = engine.ready().await.expect_err("it is closed");
        assert_eq!(error.kind(), Some(FailureKind::Closed));
        until(move || script.eval("len(left)") == "1").await;
    });
}
