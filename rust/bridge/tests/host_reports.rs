//! Reports of handlers' failures to Rust hosts.

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use pybridge::{CallOptions, Engine, Failure, FailureKind, StreamError};
use pyo3::types::PyAnyMethods;
use support::{HOST_THREAD, Script, collect, python, run};

/// What `pybridge.handler` logs is in `records`, of this script's requests only.
const SCRIPT: &str = "
import asyncio, logging, threading
from pybridge import InvalidArgument, PooledEngine, PublicError
records = []
class Keep(logging.Handler):
    def emit(self, record):
        if f'request {__name__}-' in record.getMessage():
            records.append((record.levelname, record.getMessage(), threading.current_thread().name))
logging.getLogger('pybridge.handler').addHandler(Keep())
async def handler(request):
    if request == 'first':
        raise LookupError('secret')
    yield 1
    if request == 'late':
        raise LookupError('secret')
    if request == 'odd':
        yield object()
    if request == 'time':
        raise TimeoutError
    if request == 'public':
        raise PublicError('no credit', status=402)
    if request == 'argument':
        raise InvalidArgument('no such model')
    if request == 'wait':
        await asyncio.sleep(3600)
engine = PooledEngine(handler, worker='dedicated')
async def consume():
    try:
        async for item in engine('late', request_id=__name__ + '-py'):
            pass
    except LookupError:
        return 'raised'
";

fn name(script: &Script) -> String {
    script.eval("__name__")
}

fn fail(script: &Script, engine: &Engine, request: &'static str) -> StreamError {
    let (engine, options) = (engine.clone(), CallOptions::default().request_id(format!("{}-{request}", name(script))));
    run(async move { collect(engine.generate::<_, u32>(request, options).expect("a place")).await })
        .1
        .expect("it fails")
}

/// Guarantee E-21.
#[test]
fn a_failure_of_the_handler_is_logged_once_with_its_traceback_and_request() {
    for (request, class) in
        [("first", "LookupError"), ("late", "LookupError"), ("odd", "EncodeError"), ("time", "TimeoutError")]
    {
        let script = Script::new(SCRIPT);
        let engine = script.engine();
        let error = fail(&script, &engine, request);
        assert_eq!(error.detail().map(|failure| &*failure.class), Some(class));
        assert_eq!(script.eval("len(records)"), "1", "{request}");
        assert_eq!(script.eval("records[0][0]"), "ERROR");
        assert!(script.eval("records[0][2]").starts_with("pybridge-worker"));
        let text = script.eval("records[0][1]");
        let first = format!("request {}-{request}: {}\n", name(&script), error.public_message());
        assert!(text.starts_with(&first) && text.contains(class), "{text}");
        let traceback = error.detail().and_then(|failure| failure.traceback.as_deref()).unwrap_or_default();
        assert!(text.contains(traceback.trim_end()), "{text}");
        assert_eq!(text.contains("in handler"), request != "odd", "{text}");
    }
}

#[test]
fn answers_to_the_client_and_cancellations_are_not_logged() {
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    assert_eq!(fail(&script, &engine, "public").status(), 402);
    assert_eq!(fail(&script, &engine, "argument").kind(), Some(FailureKind::InvalidArgument));
    let options = CallOptions::default().request_id(format!("{}-x", name(&script)));
    run(async move {
        let bad = collect(engine.frames(&b"\xc1"[..], options.clone()).expect("a place")).await.1.expect("no request");
        assert_eq!(bad.kind(), Some(FailureKind::Decode));
        let late = options.timeout(Duration::from_millis(10));
        let late = collect(engine.generate::<_, u32>("wait", late).expect("a place")).await.1.expect("too late");
        assert!(late.is_timeout());
    });
    assert_eq!(script.eval("records"), "[]");
}

/// Guarantee E-21.
#[test]
fn python_consumers_get_the_exception_and_nothing_is_logged() {
    let script = Script::new(SCRIPT);
    assert_eq!(script.eval("asyncio.run(consume())"), "raised");
    assert_eq!(script.eval("records"), "[]");
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    fail(&script, &engine, "late");
    assert_eq!(script.eval("len(records)"), "1", "the same engine, and a Rust consumer");
}

#[test]
fn the_hosts_function_is_told_in_the_place_of_the_log() {
    type Told = Vec<(String, Failure, String)>;
    let script = Script::new(SCRIPT);
    let told: Arc<Mutex<Told>> = Arc::default();
    let engine = script.engine_with({
        let told = Arc::clone(&told);
        |builder| {
            builder.on_failure(move |id, failure| {
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                told.lock().unwrap().push((id.to_owned(), failure.clone(), thread));
            })
        }
    });
    let kinds = [("late", FailureKind::Handler), ("public", FailureKind::Public), ("odd", FailureKind::Encode)];
    for (request, kind) in kinds {
        fail(&script, &engine, request);
        let [(id, failure, thread)] = <[_; 1]>::try_from(std::mem::take(&mut *told.lock().unwrap())).expect("one");
        assert_eq!((id, failure.kind), (format!("{}-{request}", name(&script)), kind));
        assert_eq!(failure.traceback.is_some_and(|text| text.contains("in handler")), request == "late");
        assert!(!thread.starts_with(HOST_THREAD), "{thread}");
    }
    assert_eq!(script.eval("records"), "[]");
}

#[test]
fn a_panic_of_the_hosts_function_ends_nothing_else() {
    let script = Script::new(SCRIPT);
    let engine = script.engine_with(|builder| builder.on_failure(|_, _| panic!("of the host")));
    for request in ["late", "odd"] {
        let expected = if request == "late" { FailureKind::Handler } else { FailureKind::Encode };
        assert_eq!(fail(&script, &engine, request).kind(), Some(expected));
    }
    let (items, ending) =
        run(async move { collect(engine.generate::<_, u32>("", CallOptions::default()).expect("a place")).await });
    assert!(items == [1] && ending.is_none(), "{ending:?}");
}

/// A metrics library that calls Python on a thread of its own, say.
#[test]
fn the_hosts_function_may_wait_for_a_thread_that_needs_the_interpreter() {
    let script = Arc::new(Script::new(SCRIPT));
    let (asks, asked) = mpsc::channel::<mpsc::Sender<String>>();
    let answering = std::thread::spawn({
        let script = Arc::clone(&script);
        move || asked.into_iter().for_each(|answer| answer.send(script.eval("1 + 1")).expect("it waits"))
    });
    let (answers, answer) = mpsc::channel();
    let engine = script.engine_with(move |builder| {
        builder.on_failure(move |_, _| {
            let (sender, receiver) = mpsc::channel();
            asks.send(sender).expect("it answers");
            answers.send(receiver.recv_timeout(Duration::from_secs(10)).ok()).expect("the test waits");
        })
    });
    fail(&script, &engine, "late");
    assert_eq!(answer.recv().expect("it was called").as_deref(), Some("2"));
    drop(engine);
    drop(answering);
}

#[test]
fn the_hosts_function_is_refused_an_engine_that_its_own_thread_would_have_to_make() {
    let script = Script::new(SCRIPT);
    let (results, result) = mpsc::channel();
    let engine = script.engine_with(move |builder| {
        builder.on_failure(move |_, _| results.send(Engine::import_blocking("builtins:print")).expect("the test waits"))
    });
    fail(&script, &engine, "late");
    let error = result.recv().expect("it was called").expect_err("it would wait for itself").to_string();
    assert!(error.starts_with("RuntimeError: an event loop runs on this thread"), "{error}");
}
