//! An engine made ready before its first call: its lifespan is entered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyNone;
use tokio::sync::oneshot;

use super::calls::{closed, forked};
use super::core::{EngineCore, Life};
use super::host::Engine;
use super::python::PyEngine;
use crate::awaitable::Polled;
use crate::py_errors::{Class, raise_failure};
use crate::runtime;
use crate::stream::StreamError;
use crate::worker::{self, Deferred, Entered, Mailbox};

impl Engine {
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
        if runtime::forked() {
            return Err(forked());
        }
        if self.core.life() != Life::Serving {
            return Err(closed());
        }
        match worker::enter_lifespan::<PyEngine>(&self.mailbox, Arc::clone(&self.object), false).await {
            Ok(entered) => entered.map_err(StreamError::Failed),
            Err(_) => Err(closed()),
        }
    }
}

/// The same for Python, which gets what the lifespan raised itself.
pub(super) struct Readiness {
    core: Arc<EngineCore>,
    entered: oneshot::Receiver<Entered>,
}

impl Readiness {
    /// Begins to wait for an engine whose worker has this mailbox; raises `EngineClosed`.
    pub(super) fn of(
        py: Python<'_>,
        core: &Arc<EngineCore>,
        object: Py<PyAny>,
        mailbox: &Arc<Mailbox>,
    ) -> PyResult<Self> {
        if core.life() != Life::Serving {
            return Err(no_longer(py, core));
        }
        let object = Arc::new(Deferred::new(object, mailbox.owner()));
        Ok(Self { core: Arc::clone(core), entered: worker::enter_lifespan::<PyEngine>(mailbox, object, true) })
    }

    /// Whether the lifespan is entered; raises what it raised.
    pub(super) fn poll_entered(&mut self, py: Python<'_>, waker: &Waker) -> Poll<PyResult<()>> {
        Pin::new(&mut self.entered).poll(&mut Context::from_waker(waker)).map(|entered| match entered {
            Ok(entered) => entered.map_err(|failure| raise_failure(py, &failure)),
            Err(_) => Err(no_longer(py, &self.core)),
        })
    }
}

impl Polled for Readiness {
    fn name(&self) -> &'static str {
        "Engine.ready"
    }

    fn poll<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let entered = self.poll_entered(py, waker.unwrap_or(Waker::noop()));
        entered.map(|entered| entered.map(|()| PyNone::get(py).to_owned().into_any()))
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

fn no_longer(py: Python<'_>, core: &EngineCore) -> PyErr {
    Class::EngineClosed.error(py, (format!("engine {} is closed", core.name),))
}
