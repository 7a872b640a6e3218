//! Engines of handlers that are named by a path, made on the worker.

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use pybridge::{CallOptions, Engine, FlowConfig, SetupError, Worker};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use support::{Script, collect, python, run};

/// Puts a module into a file that can be imported; gives its name.
fn module(name: &str, source: &str) -> String {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder is writable");
    fs::write(folder.join(format!("{name}.py")), source).expect("the target folder is writable");
    let folder = folder.to_str().expect("text");
    python(|py| {
        let path = py.import("sys").expect("a module").getattr("path").expect("a list");
        if !path.contains(folder).expect("a list") {
            path.call_method1("insert", (0, folder)).expect("a list");
        }
        py.import("importlib").and_then(|lib| lib.call_method0("invalidate_caches")).expect("a function");
    });
    name.to_owned()
}

fn texts(engine: Engine) -> Vec<String> {
    let (items, ending) =
        run(async move { collect(engine.generate::<_, String>((), CallOptions::default()).expect("a place")).await });
    assert!(ending.is_none(), "{ending:?}");
    items
}

const NAMES_ITS_THREADS: &str = "
import threading
imported_on = threading.current_thread().name
class Holder:
    @staticmethod
    async def chat(request):
        yield imported_on
        yield threading.current_thread().name
async def chat(request):
    async for item in Holder.chat(request):
        yield item
";

#[test]
fn a_path_is_imported_on_the_worker_that_runs_the_handler() {
    let name = module("names_its_threads", NAMES_ITS_THREADS);
    let path = format!("{name}:Holder.chat");
    let engine =
        run(async move { Engine::import(path).worker(Worker::new().name("importer")).await }).expect("it is there");
    assert_eq!(texts(engine), ["importer", "importer"]);
}

#[test]
fn a_runtime_goes_on_while_the_interpreter_is_held_and_an_import_waits_for_it() {
    let name = module("waits_for_it", "async def chat(request): yield 'made'");
    let (sender, receiver) = mpsc::channel();
    python(|_| {
        // The interpreter is held here: the future is polled on the runtime's threads, which must not wait for it.
        support::spawn(async move {
            let mut making = std::pin::pin!(Engine::import(format!("{name}:chat")).into_future());
            let early = tokio::time::timeout(Duration::from_millis(50), &mut making).await;
            sender.send(early.is_err()).expect("the test waits");
            drop(making.await.expect("it is there"));
            sender.send(true).expect("the test waits");
        });
        assert!(
            receiver.recv_timeout(Duration::from_secs(10)).expect("the runtime goes on"),
            "made without the interpreter"
        );
    });
    assert!(receiver.recv_timeout(Duration::from_secs(10)).expect("it is made"));
}

#[test]
fn a_thread_may_wait_for_the_engine_attached_or_not() {
    let name = module("blocking", "async def chat(request): yield 'made'");
    let engine = Engine::import_blocking(format!("{name}:chat")).expect("it is there");
    assert_eq!(texts(engine), ["made"]);
    let engine = python(|_| Engine::import_blocking(format!("{name}:chat"))).expect("it is there");
    assert_eq!(texts(engine), ["made"]);
}

fn refused(path: &str) -> SetupError {
    let path = path.to_owned();
    run(async move { Engine::import(path).await }).expect_err("it is refused")
}

#[test]
fn what_cannot_be_imported_is_an_error_with_class_message_and_traceback() {
    module("broken", "def fail():\n    raise LookupError('no weights')\nfail()\n");
    module("empty", "");
    module("not_callable", "chat = 1");
    for (path, text) in [
        ("absent:chat", "ModuleNotFoundError: No module named 'absent'"),
        ("broken:chat", "LookupError: no weights"),
        ("empty:chat", "AttributeError: module 'empty' has no attribute 'chat'"),
        ("not_callable:chat", "TypeError: the handler must be callable, not int"),
        ("chat", "ValueError: 'chat' is not of the form module:attribute"),
        (":", "ValueError: ':' is not of the form module:attribute"),
    ] {
        assert_eq!(refused(path).to_string(), text);
    }
    let error = refused("broken:chat");
    assert_eq!((error.class.as_str(), error.message.as_str()), ("LookupError", "no weights"));
    let traceback = error.traceback.expect("Python raised");
    assert!(traceback.contains("broken.py\", line 2, in fail"), "{traceback}");
}

#[test]
fn an_imported_engine_keeps_its_settings_and_takes_no_others() {
    let name = module(
        "has_an_engine",
        "
from pybridge import PooledEngine
async def chat(request):
    yield 'made'
engine = PooledEngine(chat, name='its own')
",
    );
    let path = format!("{name}:engine");
    assert_eq!(texts(Engine::import_blocking(path.clone()).expect("it is there")), ["made"]);
    let error =
        Engine::import(path.clone()).flow(FlowConfig::default()).name("x").blocking().expect_err("it has its own");
    assert_eq!(error.class, "ValueError");
    assert!(error.message.contains("its own") && error.message.contains("flow, name cannot be given"), "{error}");
    Engine::import(path.clone()).on_failure(|_, _| ()).blocking().expect("no setting of the Python engine");
    let error = Engine::import(path).on_failure(|_, _| ()).blocking().expect_err("it has one");
    assert!(error.message.contains("on_failure"), "{error}");
}

#[test]
fn a_thread_with_an_event_loop_does_not_wait_for_itself() {
    let name = module("waits_for_itself", "async def chat(request): yield 'made'");
    let script = Script::new(
        "
import asyncio
def on_a_loop(call):
    async def main():
        return call()
    return asyncio.run(main())
",
    );
    let error: String = python(|py| {
        let call = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            Engine::import_blocking(format!("{name}:chat")).expect_err("a loop runs here").to_string()
        };
        let call = PyCFunction::new_closure(py, None, None, call).expect("a function");
        let said = script.module(py).call_method1("on_a_loop", (call,)).expect("it runs");
        said.extract().expect("text")
    });
    assert!(error.starts_with("RuntimeError: an event loop runs on this thread"), "{error}");
}
