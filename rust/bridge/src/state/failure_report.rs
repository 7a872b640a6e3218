//! Reports of handlers' failures to Rust hosts: by the host's function, an event of `tracing`, or Python's logging.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::prelude::*;

use super::ending::Ending;
use super::stream_state::StreamState;
use crate::base::deferred_release::LoopOwned;
use crate::base::log;
use crate::error::handler_exit::contained_exit;
use crate::error::py_errors::failure_of;
use crate::error::{Failure, FailureKind};

/// Tells of what ends a stream, once, on the worker. Python consumers get the exception itself, and are told nothing here.
pub(crate) fn report(py: Python<'_>, stream: &StreamState, failure: &Failure) {
    if stream.raises {
        return;
    }
    let id = stream.request_id();
    // Detached: what the host's code waits for may need the interpreter.
    let tell = |act: &(dyn Fn() + Sync)| {
        if catch_unwind(AssertUnwindSafe(|| py.detach(act))).is_err() {
            stream.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        }
    };
    if let Some(act) = stream.engine.on_failure.get() {
        tell(&|| (act.0)(&id, failure));
    } else if is_the_handlers(failure.kind) {
        // A subscriber that some other thread has for a while hears nothing of this one.
        #[cfg(feature = "tracing")]
        if tracing::dispatcher::get_default(|here| !here.is::<tracing::subscriber::NoSubscriber>()) {
            return tell(&|| stream.span.tell(&id, failure));
        }
        let what = failure.traceback.as_deref().map(str::trim_end);
        let what = what.map_or_else(|| format!("{}: {}", failure.class, failure.message), str::to_owned);
        log::failure(py, "handler", &format!("request {id}: {}", failure.public_message), &id, &what);
    }
}

/// Ends a stream that could not start.
pub(crate) fn fail(py: Python<'_>, stream: &Arc<StreamState>, error: &PyErr) {
    if error.is_instance_of::<CancelledError>(py) {
        stream.finish(Ending::cancelled(stream.note_external()));
        return;
    }
    let owner = stream.owner();
    let exit = contained_exit(py, error);
    let keep = stream.raises.then_some(|object| LoopOwned::new(object, owner));
    let failure = failure_of(py, exit.as_ref().unwrap_or(error), keep);
    report(py, stream, &failure);
    stream.finish(Ending::Raised(Box::new(failure)));
}

/// True of what somebody has to repair; other failures are answers to what the client did, or to the load.
fn is_the_handlers(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Handler
            | FailureKind::Timeout
            | FailureKind::Encode
            | FailureKind::HandlerExit
            | FailureKind::Internal
    )
}
