//! The end of a program whose handlers do not end.

mod support;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pybridge::{CallOptions, FlowConfig, embed};
use support::{Script, python, run};

/// Both ways are bounded; where an interpreter goes on, lifespans are left all the same.
/// Guarantee P-15.
#[test]
fn shutdown_takes_no_longer_than_its_grace_with_a_handler_that_swallows_its_cancel() {
    let script = Script::new(
        "
import asyncio, contextlib
notes = []
@contextlib.asynccontextmanager
async def lifespan():
    yield
    notes.append('left')
async def polite(request):
    yield 1
async def handler(request):
    yield 1
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            notes.append('swallowed')
",
    );
    let object = |name| {
        python(|py| pyo3::types::PyAnyMethods::getattr(script.module(py).as_any(), name).expect("defined").unbind())
    };
    let flow = FlowConfig::default().cancel_grace(Duration::from_secs(600));
    let stubborn = script.engine_with(|builder| builder.flow(flow));
    let (polite, lifespan) = (object("polite"), object("lifespan"));
    let polite = python(|py| pybridge::Engine::builder(polite).lifespan(lifespan).build(py)).expect("right settings");
    let stream = run(async move {
        let mut other = polite.generate::<_, u32>((), CallOptions::default()).expect("a place");
        while other.next().await.is_some() {}
        let mut stream = stubborn.generate::<_, u32>((), CallOptions::default()).expect("a place");
        stream.next().await.expect("an item").expect("no failure");
        (stream, polite)
    });
    let begun = Instant::now();
    run(embed::shutdown(Duration::from_secs(3)));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let notes = script.eval("notes");
    assert!(notes.contains("swallowed") && notes.contains("left"), "{notes}");
    drop(stream);
}
