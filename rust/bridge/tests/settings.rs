//! Effects of each setting that a Rust host gives an engine.

mod support;

use pybridge::{
    CallOptions, CodecSpec, Engine, FailureKind, FlowConfig, Limits, ModelDump, Pool, PoolConfig, SetupError, Worker,
};
use pyo3::prelude::*;
use serde_json::{Value, json};
use support::{Script, collect, python, run};

/// All items of one call, whatever they are.
fn items(engine: &Engine) -> Vec<Value> {
    let engine = engine.clone();
    let (items, ending) =
        run(async move { collect(engine.generate::<_, Value>((), CallOptions::default()).expect("a place")).await });
    assert!(ending.is_none(), "{ending:?}");
    items
}

fn object(script: &Script, name: &str) -> Py<PyAny> {
    python(|py| script.module(py).getattr(name).expect("defined").unbind())
}

#[test]
fn context_lifespan_and_unary_reach_the_handler() {
    let script = Script::new(
        "
import contextlib
@contextlib.asynccontextmanager
async def lifespan():
    yield 'state'
async def handler(request, context=None):
    return context and context.state
",
    );
    let lifespan = object(&script, "lifespan");
    assert_eq!(items(&script.engine_with(|builder| builder.unary(true).lifespan(lifespan))), ["state"]);
    assert_eq!(items(&script.engine_with(|builder| builder.unary(true).context(false))), [Value::Null]);
}

#[test]
fn items_that_the_codec_does_not_know_go_through_the_hook_which_a_path_may_name() {
    let engine = Script::new("async def handler(request): yield 1j")
        .engine_with(|builder| builder.codec(CodecSpec::json()).default_hook("builtins:repr"));
    assert_eq!(items(&engine), ["1j"]);
}

#[test]
fn models_of_pydantic_are_written_as_told() {
    let script = Script::new(
        "
from pydantic import BaseModel, Field
class Token(BaseModel):
    text: str = Field(alias='t')
    index: int | None = None
async def handler(request):
    yield Token(t='a')
",
    );
    assert_eq!(items(&script.engine()), [json!({"text": "a", "index": null})]);
    let dump = ModelDump::default().by_alias(true).exclude_none(true);
    assert_eq!(items(&script.engine_with(|builder| builder.model_dump(dump))), [json!({"t": "a"})]);
}

#[test]
fn engines_share_the_pool_and_the_worker_that_they_are_given() {
    let script = Script::new("import threading\nasync def handler(request): yield threading.current_thread().name");
    let pool = Pool::new(PoolConfig::default()).expect("right settings");
    let worker = Worker::new().name("shared-worker");
    let engines: Vec<_> =
        (0..2).map(|_| script.engine_with(|builder| builder.pool(pool.clone()).worker(worker.clone()))).collect();
    for engine in &engines {
        assert_eq!(items(engine), ["shared-worker"]);
    }
    assert!(pool.stats().peak_bytes > 0, "frames were made in it");
    let threads = "sum(thread.name == 'shared-worker' for thread in threading.enumerate())";
    assert_eq!(script.eval(threads), "1");
    let other = script.engine_with(|builder| builder.worker(worker.clone().name("other-worker")));
    assert_eq!(items(&other), ["other-worker"]);
}

#[test]
fn a_worker_that_nobody_has_ends() {
    let script = Script::new("import threading\nasync def handler(request): yield 1");
    let worker = Worker::new().name("short-lived");
    drop(script.engine_with(|builder| builder.worker(worker.clone())));
    let thread = script.eval("[t for t in threading.enumerate() if t.name == 'short-lived'][0].is_alive()");
    assert_eq!(thread, "True");
    drop(worker);
    run(support::until(move || script.eval("any(t.name == 'short-lived' for t in threading.enumerate())") == "False"));
}

/// As in Python: a variable stands behind what is given, and before the default.
/// Guarantee E-19.
#[test]
fn fields_that_have_their_default_come_from_the_environment() {
    let script = Script::new(
        "
import asyncio, os
os.environ['PYBRIDGE_FLOW_MAX_QUEUE'] = '0'
os.environ['PYBRIDGE_FLOW_MAX_CONCURRENCY'] = '50'
async def handler(request):
    yield 1
    await asyncio.sleep(3600)
",
    );
    let engine = script.engine_with(|builder| builder.flow(FlowConfig::default().max_concurrency(1)));
    script.eval("os.environ.pop('PYBRIDGE_FLOW_MAX_QUEUE') + os.environ.pop('PYBRIDGE_FLOW_MAX_CONCURRENCY')");
    run(async move {
        let first = engine.frames(&b"\xc0"[..], CallOptions::default()).expect("the one place");
        let error = engine.frames(&b"\xc0"[..], CallOptions::default()).expect_err("no queue");
        assert_eq!(error.kind(), Some(FailureKind::Overloaded));
        drop(first);
    });
}

#[test]
fn wrong_handlers_and_settings_are_errors_that_name_them() {
    let script = Script::new("async def handler(request): yield 1");
    python(|py| {
        let handler = || script.module(py).getattr("handler").expect("defined").unbind();
        let refused = |builder: pybridge::EngineBuilder| builder.build(py).expect_err("it is wrong").to_string();
        assert!(refused(Engine::builder(py.None())).starts_with("TypeError: "));
        let engine = || Engine::builder(handler());
        for (builder, begin) in [
            (engine().lifespan("sys:path"), "ConfigError: lifespan: "),
            (engine().flow(FlowConfig::default().batch_items(0)), "ConfigError: batch_items: must be at least 1"),
            (engine().flow(FlowConfig::default().high_water(1).low_water(2)), "ConfigError: low_water: "),
            (engine().limits(Limits::default().max_depth(385)), "ConfigError: max_depth: "),
            (engine().pool(PoolConfig::default().segment_bytes(1)), "ConfigError: segment_bytes: "),
            (engine().codec(CodecSpec::raw().ascii(true)), "TypeError: RawCodec"),
            (engine().worker(Worker::new().cpu(1 << 20)), "ConfigError: cpu: "),
            (engine().name("\0"), "ConfigError: name: "),
            (engine().unary(true).context(true), "TypeError: "),
        ] {
            let error = refused(builder);
            assert!(error.starts_with(begin), "{error}");
        }
        let error = Engine::of(py.None().bind(py)).expect_err("not an engine").to_string();
        assert!(error.contains("PooledEngine"), "{error}");
    });
}

#[test]
fn a_setup_error_can_be_sent_anywhere() {
    fn assert_error<T: std::error::Error + Send + Sync + 'static>() {}
    assert_error::<SetupError>();
}
