//! Reports of handlers' failures to Rust hosts: by the host's function, an event of `tracing`, or Python's logging.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use crate::error::FailureKind;
use crate::log;
use crate::stream::{Failure, StreamCore};

type Act = dyn Fn(&str, &Failure) + Send + Sync;

/// Called with the request's id and the failure, on the worker.
#[derive(Clone)]
pub(crate) struct OnFailure(Arc<Act>);

impl OnFailure {
    pub(super) fn new(act: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}

/// Tells of what ends a stream, once, on the worker. Python consumers get the exception itself, and are told nothing here.
pub(crate) fn report(py: Python<'_>, core: &StreamCore, failure: &Failure) {
    if core.raises {
        return;
    }
    let id = core.request_id();
    // Detached: what the host's code waits for may need the interpreter.
    let tell = |act: &(dyn Fn() + Sync)| {
        if catch_unwind(AssertUnwindSafe(|| py.detach(act))).is_err() {
            core.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        }
    };
    if let Some(act) = core.engine.on_failure.get() {
        tell(&|| (act.0)(&id, failure));
    } else if is_the_handlers(failure.kind) {
        // A subscriber that some other thread has for a while hears nothing of this one.
        #[cfg(feature = "tracing")]
        if tracing::dispatcher::get_default(|here| !here.is::<tracing::subscriber::NoSubscriber>()) {
            return tell(&|| core.span.tell(&id, failure));
        }
        let what = failure.traceback.as_deref().map(str::trim_end);
        let what = what.map_or_else(|| format!("{}: {}", failure.class, failure.message), str::to_owned);
        log::error(py, "handler", &format!("request {id}: {}\n{what}", failure.public_message));
    }
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
