//! The end of a program that does not finalize the interpreter.

mod support;

use std::time::Duration;

use futures_util::StreamExt;
use pybridge::{CallOptions, Engine, FailureKind, Reason, StreamError, embed};
use pyo3::types::PyAnyMethods;
use support::{Script, collect, python, run};

#[test]
fn shutdown_waits_for_cleanup_leaves_lifespans_and_refuses_later_calls() {
    let script = Script::new(
        "
import asyncio, contextlib
notes = []
@contextlib.asynccontextmanager
async def lifespan():
    notes.append('entered')
    yield
    notes.append('left')
async def handler(request):
    try:
        yield 1
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.05)
        notes.append('finally')
",
    );
    let lifespan = python(|py| script.module(py).getattr("lifespan").expect("defined").unbind());
    let engine = script.engine_with(|builder| builder.lifespan(lifespan));
    let caller = engine.clone();
    let stream = run(async move {
        let mut stream = caller.generate::<_, u32>((), CallOptions::default()).expect("a place");
        stream.next().await.expect("an item").expect("no failure");
        stream
    });
    run(embed::shutdown(Duration::from_secs(10)));
    assert_eq!(script.eval("notes"), "['entered', 'finally', 'left']");
    python(|_| embed::shutdown_blocking(Duration::from_secs(10))); // once more does nothing

    let (ending, later) = run(async move {
        let later = engine.generate::<_, u32>((), CallOptions::default()).expect_err("too late");
        (collect(stream).await.1, later)
    });
    assert!(matches!(ending, Some(StreamError::Cancelled(Reason::Shutdown))), "{ending:?}");
    let StreamError::Failed(failure) = later else { panic!("{later:?}") };
    assert_eq!(failure.kind, FailureKind::Closed);
    let late = run(async { Engine::import("builtins:print").await }).expect_err("the workers have stopped");
    assert_eq!(late.class, "EngineClosed");
}
