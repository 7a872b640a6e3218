//! Every failure reaches a Rust host with its name, and the engine goes on.

mod support;

use futures_util::StreamExt;
use pybridge::{CallOptions, CodecSpec, Engine, FailureKind, FlowConfig, Limits, PoolConfig, Reason, StreamError};
use pyo3::prelude::*;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use support::{Script, collect, python, run, until};

/// The request says what happens after the first item.
const SCRIPT: &str = "
import asyncio
from pybridge import InvalidArgument
async def handler(request):
    yield {'number': 1}
    match request:
        case 'raise':
            raise LookupError('a secret') from ValueError('a cause')
        case 'refuse':
            raise InvalidArgument('no such model')
        case 'time out':
            raise TimeoutError('slow model')
        case 'exit':
            raise SystemExit(3)
        case 'item':
            yield {'number': object()}
        case 'shape':
            yield {'number': 'two'}
            yield {'number': 3}
        case 'wait':
            await asyncio.sleep(3600)
";

#[derive(Debug, PartialEq, Deserialize)]
struct Item {
    number: u32,
}

fn call(engine: &Engine, request: &'static str) -> (Vec<Item>, Option<StreamError>) {
    let engine = engine.clone();
    run(async move { collect(engine.generate::<_, Item>(request, CallOptions::default()).expect("a place")).await })
}

/// Guarantee W-23.
#[test]
fn a_handlers_failure_comes_after_its_items_with_kind_class_and_messages() {
    let engine = Script::new(SCRIPT).engine();
    for (request, kind, class, public, private) in [
        ("raise", FailureKind::Handler, "LookupError", "the handler failed", "a secret"),
        ("refuse", FailureKind::InvalidArgument, "InvalidArgument", "no such model", "no such model"),
        ("time out", FailureKind::Timeout, "TimeoutError", "the handler timed out", "slow model"),
        ("item", FailureKind::Encode, "EncodeError", "an item could not be encoded", "(at $.number)"),
        ("exit", FailureKind::HandlerExit, "HandlerExit", "the handler asked the process to exit", "SystemExit"),
    ] {
        let (items, ending) = call(&engine, request);
        assert_eq!(items, [Item { number: 1 }], "{request}");
        let Some(StreamError::Failed(failure)) = ending else { panic!("{request}: {ending:?}") };
        assert_eq!((failure.kind, failure.class.as_str()), (kind, class));
        assert!(failure.public_message.contains(public), "{}", failure.public_message);
        assert!(failure.message.contains(private), "{}", failure.message);
        assert!(
            !failure.public_message.contains("a secret") && !failure.public_message.contains("a cause"),
            "{request}"
        );
    }
    assert!(call(&engine, "fine").1.is_none(), "the engine goes on");
}

/// Also where Python would take the exception for the end of an iterator.
/// Guarantee S-05.
#[test]
fn an_exception_raised_while_the_handler_is_called_ends_the_stream() {
    let script = "
class Handler:
    def __call__(self, request):
        raise {'key': KeyError, 'stop': StopIteration, 'stop async': StopAsyncIteration}[request]('a secret')
handler = Handler()
";
    let engine = Script::new(script).engine();
    for (request, class) in [("key", "KeyError"), ("stop", "RuntimeError"), ("stop async", "RuntimeError")] {
        let (items, ending) = call(&engine, request);
        let Some(StreamError::Failed(failure)) = ending else { panic!("{request}: {ending:?}") };
        assert_eq!((failure.kind, failure.class.as_str()), (FailureKind::Handler, class));
        assert!(items.is_empty() && failure.public_message == "the handler failed", "{failure:?}");
    }
    assert_eq!(engine.live(), 0);
}

/// An encoding hook may say as much as a handler.
/// Guarantee W-23.
#[test]
fn what_an_encoding_hook_raises_is_not_public() {
    let script = Script::new(
        "
def default(item):
    raise ValueError('a secret')
async def handler(request):
    yield object()
",
    );
    let default = python(|py| script.module(py).getattr("default").expect("defined").unbind());
    let engine = script.engine_with(|builder| builder.default_hook(default));
    let Some(StreamError::Failed(failure)) = call(&engine, "").1 else { panic!("no failure") };
    assert_eq!((failure.kind, failure.class.as_str()), (FailureKind::Encode, "EncodeError"));
    assert!(failure.message.contains("a secret"), "{}", failure.message);
    assert_eq!(failure.public_message, "an item could not be encoded");
}

/// Class, kind, status and whether to try again, of all that a handler may raise.
/// Guarantee S-14.
#[test]
fn every_exception_class_has_its_kind() {
    let script = Script::new(
        "
import asyncio, pybridge
async def handler(request):
    raise eval(request)
    yield
",
    );
    let engine = script.engine();
    for (raised, class, kind, status, retryable) in [
        ("ValueError('x')", "ValueError", FailureKind::Handler, 500, false),
        ("TypeError('x')", "TypeError", FailureKind::Handler, 500, false),
        ("KeyError('x')", "KeyError", FailureKind::Handler, 500, false),
        ("OSError(5, 'x')", "OSError", FailureKind::Handler, 500, false),
        ("ConnectionResetError('x')", "ConnectionResetError", FailureKind::Handler, 500, false),
        ("MemoryError()", "MemoryError", FailureKind::Handler, 500, false),
        ("RecursionError()", "RecursionError", FailureKind::Handler, 500, false),
        ("StopAsyncIteration()", "RuntimeError", FailureKind::Handler, 500, false),
        ("ExceptionGroup('x', [ValueError(1), KeyError(2)])", "ExceptionGroup", FailureKind::Handler, 500, false),
        ("BaseExceptionGroup('x', [SystemExit(1)])", "BaseExceptionGroup", FailureKind::Handler, 500, false),
        ("TimeoutError()", "TimeoutError", FailureKind::Timeout, 504, false),
        ("asyncio.TimeoutError()", "TimeoutError", FailureKind::Timeout, 504, false),
        ("KeyboardInterrupt()", "HandlerExit", FailureKind::HandlerExit, 500, false),
        ("pybridge.InvalidArgument('x')", "InvalidArgument", FailureKind::InvalidArgument, 400, false),
        ("pybridge.InvalidArgument('x', 422)", "InvalidArgument", FailureKind::InvalidArgument, 422, false),
        ("pybridge.PublicError('x')", "PublicError", FailureKind::Public, 400, false),
        ("pybridge.PublicError('x', 503, retryable=True)", "PublicError", FailureKind::Public, 503, true),
        ("pybridge.DecodeError('x', 0)", "DecodeError", FailureKind::Decode, 400, false),
        ("pybridge.LimitExceeded('x', 'max_depth')", "LimitExceeded", FailureKind::Encode, 500, false),
        ("pybridge.Overloaded('x')", "Overloaded", FailureKind::Overloaded, 503, true),
        ("pybridge.PoolExhausted('x')", "PoolExhausted", FailureKind::PoolExhausted, 503, true),
        ("pybridge.EngineClosed('x')", "EngineClosed", FailureKind::Closed, 503, true),
        ("pybridge.InternalError('x')", "InternalError", FailureKind::Internal, 500, false),
    ] {
        let (items, ending) = call(&engine, raised);
        assert!(items.is_empty());
        let Some(StreamError::Failed(failure)) = ending else { panic!("{raised}: {ending:?}") };
        assert_eq!((failure.class.as_str(), failure.kind), (class, kind), "{raised}");
        assert_eq!((failure.status(), failure.retryable()), (status, retryable), "{raised}");
        let public = matches!(kind, FailureKind::Public | FailureKind::InvalidArgument | FailureKind::Decode);
        assert_eq!(failure.public_message == failure.message, public, "{raised}: {failure:?}");
    }
    let (_, ending) = call(&engine, "asyncio.CancelledError()");
    assert!(matches!(ending, Some(StreamError::Cancelled(Reason::External))), "{ending:?}");
}

/// The class that stands for a kind in Python.
fn class_of(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Handler => "RuntimeError",
        FailureKind::Timeout => "TimeoutError",
        FailureKind::Public => "PublicError",
        FailureKind::InvalidArgument => "InvalidArgument",
        FailureKind::Encode => "EncodeError",
        FailureKind::Decode => "DecodeError",
        FailureKind::Overloaded => "Overloaded",
        FailureKind::PoolExhausted => "PoolExhausted",
        FailureKind::TooLarge => "LimitExceeded",
        FailureKind::Closed => "EngineClosed",
        FailureKind::HandlerExit => "HandlerExit",
        FailureKind::Fork => "ForkError",
        FailureKind::Internal => "InternalError",
        other => panic!("{other:?} is new"),
    }
}

/// Guarantee S-14.
#[test]
fn what_is_worth_another_try_is_the_same_in_rust_in_python_and_in_the_document() {
    let page = include_str!("../../../docs/streams.md");
    let (_, section) = page.split_once("## What is worth another try\n").expect("a section");
    let section = section.split("\n## ").next().expect("it ends");
    let script = Script::new("from pybridge import *");
    let check = |name: &str, object: &str, status: u16, retryable: bool| {
        let verdict = if retryable { "yes" } else { "no" };
        assert!(section.contains(&format!("| {name} | {status} | {verdict} |")), "{name}: {status} {retryable}");
        let python = script.eval(&format!("getattr({object}, 'retryable', False)"));
        assert_eq!(python == "True", retryable, "{object} in Python: {python}");
    };
    for reason in Reason::ALL {
        let object = format!("StreamCancelled(\"{}\")", reason.as_str());
        check(&format!("`{object}`"), &object, reason.status(), reason.retryable());
    }
    for kind in FailureKind::ALL {
        let class = class_of(kind);
        let name = match kind {
            FailureKind::Handler => "any other of the handler's".to_owned(),
            FailureKind::TooLarge => "a request that is too large, in a Rust host".to_owned(),
            _ => format!("`{class}`"),
        };
        check(&name, class, kind.status(), kind.retryable());
    }
}

#[test]
fn a_failure_brings_its_traceback_as_text_and_no_object() {
    let script = Script::new(
        "
import gc, weakref
from pybridge import PublicError
class Witness:
    pass
witnesses = []
def fail(depth, text):
    witness = Witness()
    witnesses.append(weakref.ref(witness))
    if depth:
        fail(depth - 1, text)
    raise LookupError(text) from ValueError('a cause')
async def handler(request):
    if request == 'public':
        raise PublicError('sorry')
    fail(int(request), 'x' * 20_000 if request == '99' else 'a secret')
    yield
def alive():
    gc.collect()
    return sum(witness() is not None for witness in witnesses)
",
    );
    let engine = script.engine();
    let detail = |request| {
        let error = call(&engine, request).1.expect("it fails");
        assert!(!error.to_string().contains("secret"), "{error}");
        error.detail().expect("a failure").clone()
    };
    let failure = detail("3");
    let text = failure.traceback.as_deref().expect("a traceback");
    assert!(text.starts_with("ValueError: a cause\n\nThe above exception was the direct cause"), "{text}");
    assert!(text.ends_with("LookupError: a secret\n") && text.contains("in fail\n"), "{text}");
    assert_eq!(script.eval("alive()"), "0", "the error holds no frame of the handler");
    drop(failure);

    let long = detail("99");
    let text = long.traceback.expect("a traceback");
    assert!(text.len() <= 8 << 10 && text.contains("[...]"), "{} bytes", text.len());
    assert!(detail("public").traceback.is_none(), "its text is the answer");

    let plain =
        (0..20).filter_map(|_| detail("1").traceback).filter(|text| !text.contains("fail(depth - 1, text)")).count();
    assert!(plain > 0, "lines of source are read ten times a second at most");
}

#[test]
fn a_failure_of_the_handler_is_the_same_exception_for_python() {
    let engine = Script::new(SCRIPT).engine();
    for (request, class) in [("refuse", "InvalidArgument"), ("raise", "LookupError"), ("item", "EncodeError")] {
        let error = call(&engine, request).1.expect("it fails");
        python(|py| {
            let raised = error.to_pyerr(py);
            assert_eq!(raised.get_type(py).name().expect("a name").to_string(), class, "{raised}");
        });
        assert!(!error.is_cancelled());
        assert!(!error.is_timeout());
    }
    assert!(call(&engine, "time out").1.expect("it fails").is_timeout());
}

#[test]
fn a_request_that_is_too_large_is_refused_where_it_is_made() {
    let engine = Script::new(SCRIPT).engine_with(|builder| builder.limits(Limits::default().max_frame_bytes(1000)));
    let body = vec![0_u8; 1001];
    for error in [
        engine.body(&body).expect_err("it is too large"),
        engine.frames(body, CallOptions::default()).expect_err("it is too large"),
    ] {
        assert_eq!((error.status(), error.retryable(), error.kind()), (413, false, Some(FailureKind::TooLarge)));
        assert_eq!(error.detail().expect("a failure").limit.as_deref(), Some("max_frame_bytes"));
    }
    let small = Script::new(SCRIPT).engine_with(|builder| builder.pool(PoolConfig::default().max_live_bytes(1 << 20)));
    let error = small.body(&vec![0; 1 << 20]).expect_err("more than half of the pool");
    assert_eq!((error.status(), error.kind()), (413, Some(FailureKind::TooLarge)));
}

/// Guarantee W-24.
#[test]
fn a_public_error_brings_its_answer_to_the_host() {
    let script = Script::new(
        "
from pybridge import PublicError

class Sold(PublicError):
    def __init__(self, what):
        super().__init__(f'no {what} left', 410, 'sold', headers={'x-what': what, 'retry-after': '5'})

class Careless(PublicError):
    def __init__(self, **answer):
        self.__dict__.update({'status': 404, 'code': None, 'headers': {}, 'message': 'a secret', **answer})

async def handler(request):
    error = eval(request)
    if isinstance(error, Sold) and request.endswith(' '):
        error.headers['x-what'] = 'a\\r\\nset-cookie: b'
    raise error
    yield
",
    );
    let engine = script.engine();
    let Some(error) = call(&engine, "Sold('tea')").1 else { panic!("no failure") };
    assert_eq!((error.status(), error.retryable(), error.public_message()), (410, false, "no tea left".to_owned()));
    let answer = error.answer().expect("the handler has one");
    assert_eq!(answer.code.as_deref(), Some("sold"));
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("retry-after", "5"), ("x-what", "tea")]);

    for raised in
        ["Sold('tea') ", "Careless(**{'status': 200})", "Careless(**{'code': 5})", "Careless(**{'headers': 5})"]
    {
        let Some(error) = call(&engine, raised).1 else { panic!("no failure") };
        assert_eq!((error.status(), error.public_message()), (500, "the handler failed".to_owned()), "{raised}");
        assert!(error.answer().is_none(), "{raised}");
    }
}

/// Nothing reaches the handler.
/// Guarantees E-18, L-08.
#[test]
fn hostile_options_are_refused_before_anything_starts() {
    let engine = Script::new(SCRIPT).engine();
    let metadata = |key: &str, value: String| CallOptions::default().metadata_entry(key, value);
    let many = (0..100_000).map(|number| (number.to_string(), String::new())).collect();
    let line = "a\r\nb";
    for (options, class) in [
        (metadata("user", "a\r\nSet-Cookie: b".into()), "ConfigError"),
        (metadata("us\0er", "a".into()), "ConfigError"),
        (metadata("user", "\u{85}".into()), "ConfigError"),
        (CallOptions::default().request_id(line), "ConfigError"),
        (CallOptions::default().traceparent(line), "ConfigError"),
        (CallOptions::default().tracestate(line), "ConfigError"),
        (metadata("user", "a".repeat(1 << 20)), "LimitExceeded"),
        (CallOptions::default().metadata(many), "LimitExceeded"),
    ] {
        let error = engine.frames(&b"\xc0"[..], options).expect_err("it is refused");
        let StreamError::Failed(failure) = error else { panic!("{error:?}") };
        assert_eq!((failure.kind, failure.class.as_str()), (FailureKind::InvalidArgument, class));
        assert!(failure.message.len() < 100, "{}", failure.message);
        assert_eq!(engine.live(), 0);
    }
    assert!(call(&engine, "fine").1.is_none(), "the engine goes on");
}

#[test]
fn a_response_of_another_shape_is_one_error_and_the_stream_goes_on() {
    let engine = Script::new(SCRIPT).engine();
    let items: Vec<_> = run(async move {
        let stream = engine.generate::<_, Item>("shape", CallOptions::default()).expect("a place");
        stream.collect().await
    });
    let [Ok(first), Err(error @ StreamError::Response(_)), Ok(third)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((first.number, third.number), (1, 3));
    let failure = error.detail().expect("what is wrong is for logs");
    assert!(failure.message.contains("marker"), "{failure:?}");
    assert_eq!((error.to_string().as_str(), error.status()), ("internal error", 500));
}

#[test]
fn a_request_that_does_not_serialise_never_reaches_the_handler() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("not today"))
        }
    }
    let engine = Script::new(SCRIPT).engine();
    let error = run(async move {
        let error = engine.generate::<_, Item>(Stubborn, CallOptions::default()).expect_err("it is refused");
        assert_eq!(engine.live(), 0);
        error
    });
    let StreamError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, FailureKind::InvalidArgument);
    assert_eq!(failure.message, "request not encodable: not today (at $)");
}

#[test]
fn request_bytes_of_another_format_are_the_callers_failure() {
    let engine = Script::new(SCRIPT).engine_with(|builder| builder.codec(CodecSpec::json()));
    let (frames, ending) =
        run(async move { collect(engine.frames(&b"{\"a\" 1}"[..], CallOptions::default()).expect("a place")).await });
    assert!(frames.is_empty());
    let Some(StreamError::Failed(failure)) = ending else { panic!("{ending:?}") };
    assert_eq!((failure.kind.status(), failure.class.as_str()), (400, "DecodeError"));
}

/// Guarantee F-07.
#[test]
fn a_call_beyond_the_engines_places_is_overloaded_at_once() {
    let engine =
        Script::new(SCRIPT).engine_with(|builder| builder.flow(FlowConfig::default().max_concurrency(1).max_queue(0)));
    run(async move {
        let mut first = engine.generate::<_, Item>("wait", CallOptions::default()).expect("a place");
        first.next().await.expect("an item").expect("no failure");
        let error = engine.generate::<_, Item>("more", CallOptions::default()).expect_err("no place");
        let StreamError::Failed(failure) = error else { panic!("{error:?}") };
        assert_eq!(failure.kind, FailureKind::Overloaded);
        assert!(failure.kind.retryable());
        assert!(failure.message.ends_with("1 of 1 run (max_concurrency), 0 of 0 wait (max_queue)"), "{failure:?}");
        assert_eq!(failure.public_message, "the engine has no place for one more call");
        drop(first);
        until(|| engine.live() == 0).await;
        assert!(engine.generate::<_, Item>("more", CallOptions::default()).is_ok(), "the place is free again");
    });
}

/// Guarantee E-12.
#[test]
fn closing_cancels_what_is_live_and_refuses_what_comes() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let mut live = engine.generate::<_, Item>("wait", CallOptions::default()).expect("a place");
        live.next().await.expect("an item").expect("no failure");
        engine.close();
        let ending = collect(live).await.1;
        assert!(matches!(ending, Some(StreamError::Cancelled(Reason::Shutdown))), "{ending:?}");
        let error = engine.generate::<_, Item>("more", CallOptions::default()).expect_err("it is closed");
        let StreamError::Failed(failure) = error else { panic!("{error:?}") };
        assert_eq!(failure.kind, FailureKind::Closed);
    });
}
