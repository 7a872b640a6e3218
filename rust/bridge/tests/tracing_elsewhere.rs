//! A failure of a handler while only another thread has a subscriber of `tracing`.

mod support;

use pybridge::CallOptions;
use support::{Script, collect, run};

#[test]
fn a_failure_that_no_subscriber_of_the_worker_hears_is_logged() {
    let script = Script::new(
        "
import logging
records = []
logging.getLogger('pybridge.handler').addFilter(lambda record: records.append(record))
async def handler(request):
    yield 1
    raise LookupError
",
    );
    let engine = script.engine();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry());
    run(async move { collect(engine.generate::<_, u32>((), CallOptions::default()).expect("a place")).await });
    assert_eq!(script.eval("len(records)"), "1");
}
