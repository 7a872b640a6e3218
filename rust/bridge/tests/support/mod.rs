//! An embedded interpreter, a host's runtime, and engines made from a few lines of Python.
#![allow(dead_code, reason = "every test binary uses its part")]

use std::ffi::CString;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use pybridge::{Engine, EngineBuilder, StreamError, embed, runtime};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

/// Names of the runtime's threads begin with this.
pub(crate) const HOST_THREAD: &str = "host-rt";

/// Far above what anything takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(15);

fn host() -> &'static Runtime {
    static HOST: OnceLock<Runtime> = OnceLock::new();
    HOST.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(HOST_THREAD)
            .enable_all()
            .build()
            .expect("threads can be had");
        runtime::use_handle(runtime.handle().clone()).expect("no engine was made before");
        Python::initialize();
        runtime
    })
}

/// Runs `future` on a thread of the host's runtime.
pub(crate) fn run<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = host().spawn(async move { tokio::time::timeout(DEADLINE, future).await.expect("in time") });
    host().block_on(task).expect("no panic")
}

/// Starts `future` on the host's runtime.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    host().spawn(future);
}

/// Faults are the process's: one test at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches the test's own thread, as a host does to begin and to end.
#[expect(clippy::disallowed_methods, reason = "a host's own thread is no thread of the runtime")]
pub(crate) fn python<R>(act: impl FnOnce(Python<'_>) -> R) -> R {
    host();
    Python::attach(|py| {
        embed::install(py).expect("the package is compiled in");
        act(py)
    })
}

/// What a few lines of Python define.
pub(crate) struct Script(Py<PyModule>);

impl Script {
    pub(crate) fn new(source: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let source = CString::new(source).expect("no NUL");
        // Modules of one name are one module.
        let name = CString::new(format!("script_{}", NEXT.fetch_add(1, Ordering::Relaxed))).expect("no NUL");
        python(|py| Self(PyModule::from_code(py, &source, &name, &name).expect("it runs").unbind()))
    }

    pub(crate) fn module<'py>(&self, py: Python<'py>) -> &Bound<'py, PyModule> {
        self.0.bind(py)
    }

    /// An engine for the function `handler`.
    pub(crate) fn engine(&self) -> Engine {
        self.engine_with(|builder| builder)
    }

    /// The same, with settings.
    pub(crate) fn engine_with(&self, settings: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Engine {
        python(|py| {
            let handler = self.0.bind(py).getattr("handler").expect("defined").unbind();
            settings(Engine::builder(handler)).build(py).expect("right settings")
        })
    }

    /// The value of an expression, as text.
    pub(crate) fn eval(&self, expression: &str) -> String {
        let expression = CString::new(expression).expect("no NUL");
        python(|py| {
            let names = self.0.bind(py).dict();
            py.eval(&expression, Some(&names), None).expect("it evaluates").to_string()
        })
    }
}

/// Items up to the ending, which is `None` where the handler finished.
pub(crate) async fn collect<T>(
    mut stream: impl Stream<Item = Result<T, StreamError>> + Unpin,
) -> (Vec<T>, Option<StreamError>) {
    let mut items = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(error) => return (items, Some(error)),
        }
    }
    (items, None)
}

/// Waits for a state that announces itself by no event.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
