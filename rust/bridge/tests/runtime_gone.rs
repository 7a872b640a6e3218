//! A host drops its runtime while streams are live.

use std::time::Duration;

use futures_util::StreamExt;
use pybridge::{CallOptions, Engine, embed, runtime};
use pyo3::prelude::*;
use tokio::runtime::Builder;

#[test]
#[expect(clippy::disallowed_methods, reason = "a host's own thread is no thread of the runtime")]
fn what_was_under_way_reaches_consumers_on_another_runtime() {
    let lent = Builder::new_current_thread().enable_all().build().expect("no threads are needed");
    runtime::use_handle(lent.handle().clone()).expect("no engine was made before");
    Python::initialize();
    let (engine, wait) = Python::attach(|py| {
        embed::install(py).expect("the package is compiled in");
        let source = c"
import time
from pybridge import PooledEngine
async def handler(request):
    yield 1
    yield 2
engine = PooledEngine(handler)
def wait():
    while engine.stats().streams.live:
        time.sleep(0.001)
";
        let module = PyModule::from_code(py, source, c"script", c"script").expect("it runs");
        let engine = Engine::of(&module.getattr("engine").expect("defined")).expect("an engine");
        (engine, module.getattr("wait").expect("defined").unbind())
    });
    let consumer = Builder::new_current_thread().enable_all().build().expect("no threads are needed");
    let mut stream = engine.generate::<_, u32>((), CallOptions::default()).expect("a place");
    // The lent runtime is never driven: all that the handler made is on its way until the runtime goes.
    Python::attach(|py| wait.call0(py).map(drop)).expect("it ends");
    drop(lent);
    consumer.block_on(async {
        for expected in [Some(1), Some(2), None] {
            let item = tokio::time::timeout(Duration::from_secs(15), stream.next()).await.expect("in time");
            assert_eq!(item.transpose().expect("no failure"), expected);
        }
    });
}
