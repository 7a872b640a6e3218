//! The engine for Rust hosts: no interpreter on the caller's threads.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::call_refusals::{closed, forked};
use super::engine_stats::EngineStats;
use super::py_engine::PyEngine;
use super::server_profile::{EngineProfile, max_request};
use crate::base::deferred_release::LoopOwned;
use crate::base::fork;
use crate::codec::Format;
use crate::consumer::StreamError;
use crate::state::{EngineState, Lifecycle};
use crate::worker::{self, Mailbox, longest_lag};

/// Calls one Python handler from Rust. Clones share it.
///
/// The handler runs on a worker thread of its own event loop; callers' threads never touch the interpreter.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) state: Arc<EngineState>,
    pub(super) object: Arc<LoopOwned>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) format: Format,
    unary: bool,
}

impl Engine {
    /// The Rust side of a Python `PooledEngine`; starts its worker.
    ///
    /// # Errors
    /// `engine` is something else, or its worker cannot be started.
    pub fn of(engine: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = engine.py();
        crate::base::runtime::start().map_err(|error| crate::error::py_errors::runtime_error(py, error))?;
        let native = engine.getattr("_core").ok().and_then(|native| native.cast_into::<PyEngine>().ok());
        let inner =
            native.ok_or_else(|| PyTypeError::new_err(format!("{engine:?} is no PooledEngine of this program")))?;
        let mailbox = inner.get().placement.host_mailbox(py)?;
        let state = Arc::clone(&inner.get().state);
        let EngineProfile { format, unary, .. } = inner.get().profile();
        // The Python object is kept as well: an engine lives as long as its Rust handles.
        let object = Arc::new(LoopOwned::new(inner.into_any().unbind(), mailbox.sink()));
        Ok(Self { state, object, mailbox, format, unary })
    }

    /// Its name in statistics and logs.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The counters since the engine was made; nothing of it needs the interpreter.
    ///
    /// ```no_run
    /// # fn show(engine: &pybridge::Engine) {
    /// let stats = engine.stats();
    /// println!("{} of {} calls are live, {} items", stats.streams.live, stats.streams.started, stats.frames);
    /// # }
    /// ```
    pub fn stats(&self) -> EngineStats {
        EngineStats::of(&self.state)
    }

    /// What of its settings decides how its requests and answers look.
    pub fn profile(&self) -> EngineProfile {
        EngineProfile {
            format: self.format,
            unary: self.unary,
            max_request: max_request(&self.state.limits, self.format),
        }
    }

    /// True while it takes calls: until it drains or is closed.
    pub fn is_serving(&self) -> bool {
        self.state.lifecycle() == Lifecycle::Serving
    }

    /// Streams that are live now.
    pub fn live(&self) -> usize {
        self.state.live_count()
    }

    /// How long the slowest of the process's event loops has not answered; nothing of it needs the interpreter.
    pub fn stalled(&self) -> Duration {
        longest_lag()
    }

    /// Takes no new calls and cancels what is live, with the reason `shutdown`. Does not wait.
    pub fn close(&self) {
        self.state.close();
    }

    /// Has the engine's lifespan entered on its worker, as its first call would. Suspends until that is done; an engine without
    /// a lifespan is ready when its worker has answered.
    ///
    /// For servers: what a lifespan loads is there before the first request, and what fails is known at the start. After a
    /// failure the next call, of this or of the handler, enters it again. Dropped before, it leaves the entering to go on.
    ///
    /// ```no_run
    /// # async fn begin() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = pybridge::Engine::import("app:engine").await?;
    /// engine.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the lifespan raised; [`FailureKind::Closed`](crate::FailureKind): the engine drains or is closed, or its worker ends.
    pub async fn ready(&self) -> Result<(), StreamError> {
        if fork::forked() {
            return Err(forked());
        }
        if self.state.lifecycle() != Lifecycle::Serving {
            return Err(closed());
        }
        match worker::enter_lifespan::<PyEngine>(&self.mailbox, Arc::clone(&self.object), false).await {
            Ok(entered) => entered.map_err(StreamError::Failed),
            Err(_) => Err(closed()),
        }
    }
}
