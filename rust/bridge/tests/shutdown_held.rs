//! The end of a program while C code of a handler keeps the interpreter.

mod support;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pybridge::{CallOptions, embed};
use support::{Script, run};

/// Guarantee P-15.
#[test]
fn shutdown_takes_no_longer_than_its_grace_while_the_interpreter_is_kept() {
    let script = Script::new(
        "
import asyncio, ctypes
async def handler(request):
    yield 1
    await asyncio.sleep(0.01)  # the item leaves
    ctypes.PyDLL(None).sleep(30)
",
    );
    let engine = script.engine();
    let stream = run(async move {
        let mut stream = engine.generate::<_, u32>((), CallOptions::default()).expect("a place");
        stream.next().await.expect("an item").expect("no failure");
        (stream, engine)
    });
    for attempt in [embed::shutdown_blocking, |grace| run(embed::shutdown(grace))] {
        let begun = Instant::now();
        attempt(Duration::from_millis(200));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    // The interpreter is not to be had: references to it go with the process.
    std::mem::forget((stream, script));
}
