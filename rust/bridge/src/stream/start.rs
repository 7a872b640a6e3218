//! From a request to a running asyncio task.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::prelude::*;

use super::core::StreamCore;
use super::driver::Driver;
use super::ending::Ending;
use crate::codec::{CodecSpec, Format, Framing};
use crate::engine::{PyEngine, report};
use crate::error::{FailureKind, Reason};
use crate::py_errors::{contained_exit, failure_of};
use crate::worker::{Deferred, Gate, Port};

/// What the handler gets.
pub(crate) enum Request {
    /// The caller's very object.
    Object(Deferred),
    /// Encoded; decoded on the worker right before the handler's first step.
    Encoded(Bytes, RequestCodec),
}

/// How an encoded request is decoded.
#[derive(Debug, Clone)]
pub(crate) enum RequestCodec {
    /// By the engine's codec.
    Engine,
    /// By a codec of the call's own.
    Plain(Arc<CodecSpec>),
}

impl RequestCodec {
    /// That of a format without options.
    pub(crate) fn of(format: Format) -> Self {
        Self::Plain(Arc::new(CodecSpec { format, ..CodecSpec::default() }))
    }
}

/// How items are encoded.
pub(crate) enum ItemCodec {
    /// By the engine's codec.
    Engine,
    /// By a codec of the call's own: a Python `Codec` object.
    Own(Deferred),
    /// In this format, with the hooks of the engine's codec.
    Format(Format),
}

/// A stream that has not begun.
pub(crate) struct StartRequest {
    pub(crate) core: Arc<StreamCore>,
    /// The Python engine object, kept alive while the request waits.
    pub(crate) engine: Arc<Deferred>,
    pub(crate) request: Request,
    pub(crate) codec: ItemCodec,
    /// The caller's `contextvars` copy; `None`: the engine's.
    pub(crate) context: Option<Deferred>,
    pub(crate) framing: Framing,
}

impl StartRequest {
    /// Bytes that are decoded when it starts.
    pub(crate) fn encoded_len(&self) -> usize {
        match &self.request {
            Request::Object(_) => 0,
            Request::Encoded(bytes, _) => bytes.len(),
        }
    }

    /// Ends it because its worker is gone.
    pub(crate) fn refuse(self) {
        self.core.refuse(FailureKind::Closed, "EngineClosed", "the worker of this engine has stopped");
        // It may have ended before it was admitted; then the ending gave no place back.
        self.core.engine.return_place(&self.core);
    }
}

/// Makes the driver and its task on the worker's own thread.
pub(crate) fn start(py: Python<'_>, port: &Bound<'_, Port>, start: StartRequest) {
    let core = Arc::clone(&start.core);
    if core.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        core.cancel(Reason::Deadline);
    }
    if let Some(reason) = core.cancel_reason() {
        core.finish(Ending::cancelled(reason));
        core.engine.return_place(&core);
        return;
    }
    let started = match Gate::of(py, port, start) {
        Ok(Gate::Open(start)) => try_start(py, port, start),
        Ok(Gate::Waiting) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = started {
        fail(py, &core, &error);
    }
}

/// Ends a stream that could not start.
pub(crate) fn fail(py: Python<'_>, core: &Arc<StreamCore>, error: &PyErr) {
    if error.is_instance_of::<CancelledError>(py) {
        core.finish(Ending::cancelled(core.note_external()));
        return;
    }
    let home = Arc::clone(&core.home);
    let exit = contained_exit(py, error);
    let keep = core.raises.then_some(|object| Deferred::new(object, home));
    let failure = failure_of(py, exit.as_ref().unwrap_or(error), keep);
    report(py, core, &failure);
    core.finish(Ending::Raised(Box::new(failure)));
}

fn try_start(py: Python<'_>, port: &Bound<'_, Port>, start: StartRequest) -> PyResult<()> {
    let core = Arc::clone(&start.core);
    let engine = start.engine.get(py).bind(py).cast::<PyEngine>()?.clone();
    let context = match &start.context {
        Some(context) => context.get(py).clone_ref(py),
        None => engine.get().copy_context(py)?,
    };
    let driver = Driver::new(py, port, start, &engine)?;
    core.restart_idle();
    match port.get().spawn(py, &core, driver.clone().into_any(), context, &engine.get().task_name) {
        // An eager task has run to its end, and what only an exit does, raised into its maker: the loop's to hear.
        Err(error) if core.is_released() => port.get().raise_in_loop(py, &error),
        Err(error) => {
            // Here and not by the caller: a driver that goes before its stream has ended ends it as lost.
            fail(py, &core, &error);
            drop(driver);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
