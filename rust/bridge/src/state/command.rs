//! Commands to a worker, and the trait `CommandSink` of what they are posted to.

use std::sync::Arc;

use pyo3::prelude::*;

use super::start_request::StartRequest;
use super::stream_state::StreamState;
use crate::base::deferred_release::Owner;

/// Something to run on a worker, attached, with the worker's object. Any thread may drop it: the Python references that it owns
/// are `LoopOwned`.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>, &Bound<'_, PyAny>) + Send>;

/// What a worker is asked to do.
pub(crate) enum Command {
    /// Make the driver of a stream and its asyncio task.
    Start(Box<StartRequest>),
    /// Cancel the asyncio task of a stream; the stream has the reason.
    Cancel(Arc<StreamState>),
    /// The grace of a cancelled stream is over.
    Grace(Arc<StreamState>),
    /// Credit is back: let the driver go on.
    Resume(Arc<StreamState>),
    /// Something arrived for a Python consumer on this loop.
    Wake(Arc<dyn Notify>),
    /// Run on the worker, attached.
    Run(Job),
    /// Drop a Python reference.
    Release(Py<PyAny>),
}

impl Command {
    /// Has `act` run on the worker.
    pub(crate) fn run(act: impl FnOnce(Python<'_>) + Send + 'static) -> Self {
        Self::Run(Box::new(|py, _worker| act(py)))
    }
}

/// A consumer that waits on an event loop.
pub(crate) trait Notify: Send + Sync {
    /// Lets it go on; on its loop's thread only.
    fn notify(&self, py: Python<'_>);
}

/// The thread that runs handlers.
pub(crate) trait CommandSink: Owner {
    /// Sends a command there.
    ///
    /// # Errors
    /// The worker is gone; the command comes back.
    fn post(&self, command: Command) -> Result<(), Command>;
}
