//! The making of engines: on an attached thread, or on the engine's worker for threads that do not attach.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;

use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::{interpreter, package};
use crate::engine::{Engine, EngineBuilder, SetupError};
use crate::state::{Command, CommandSink};
use crate::worker;

type Made = Result<Engine, SetupError>;

impl EngineBuilder {
    /// Makes the engine on the calling thread, where a path is imported too, and starts its worker. For code that is attached to
    /// the interpreter.
    ///
    /// # Errors
    /// What importing raises; `TypeError` for a wrong handler, `ConfigError` for a wrong setting; `ValueError` for settings of
    /// what is a `PooledEngine` already.
    pub fn build(self, py: Python<'_>) -> PyResult<Engine> {
        package::install(py)?;
        self.make(py)
    }

    /// Makes the engine on its worker's thread, where a path is imported too. Blocks until that is done, detached from the
    /// interpreter.
    ///
    /// # Errors
    /// The interpreter was not started ([`embed::initialize`](crate::embed::initialize)); an event loop runs on this thread, which must not wait; otherwise
    /// as [`build`](Self::build).
    pub fn blocking(self) -> Result<Engine, SetupError> {
        // What a worker calls detached, as `on_failure`, has a loop below it as well.
        let attached = || worker::if_attached(|py| !matches!(worker::running_loop(py), Ok(None))).unwrap_or_default();
        if worker::is_worker_thread() || attached() {
            let text = "an event loop runs on this thread, which would wait for itself: use build()";
            return Err(SetupError::new("RuntimeError", text));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        self.begin(move |made| drop(sender.send(made)));
        worker::detached(move || receiver.recv()).unwrap_or_else(|_| Err(lost()))
    }

    /// Has the engine made on its worker's thread, from which `done` is called. Does not wait for that.
    fn begin(self, done: impl FnOnce(Made) + Send + 'static) {
        if !interpreter::is_initialized() {
            let text = "the Python interpreter has not been started: call pybridge::embed::initialize() first";
            return done(Err(SetupError::new("RuntimeError", text)));
        }
        // Only this thread, which is neither the runtime's nor the caller's, attaches before the worker does.
        let begin = move || worker::try_attach(|py| self.send(py, done)).unwrap_or_default();
        let started = thread::Builder::new().name("pybridge-setup".into()).spawn(begin);
        // Without a thread `done` is dropped, which tells that as well.
        drop(started);
    }

    /// Sends the settings to the worker, which is started if it was not.
    fn send(self, py: Python<'_>, done: impl FnOnce(Made) + Send + 'static) {
        match package::install(py).and_then(|()| self.mailbox(py)) {
            Ok(mailbox) => {
                let make = move |py: Python<'_>| {
                    done(self.make(py).map_err(|error| SetupError::of(py, &error)));
                };
                drop(mailbox.post(Command::run(make)));
            }
            Err(error) => done(Err(SetupError::of(py, &error))),
        }
    }
}

fn lost() -> SetupError {
    SetupError::new("EngineClosed", "the interpreter or the worker stopped before the engine was made")
}

impl IntoFuture for EngineBuilder {
    type Output = Made;
    type IntoFuture = Pin<Box<dyn Future<Output = Made> + Send>>;

    /// Makes the engine on its worker's thread, where a path is imported too; the thread that polls never attaches to the
    /// interpreter. A future that is dropped leaves what has begun to its end.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            self.begin(move |made| drop(sender.send(made)));
            receiver.await.unwrap_or_else(|_| Err(lost()))
        })
    }
}
