//! The wait of Python code until an engine's lifespan is entered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyNone;
use tokio::sync::oneshot;

use crate::consumer::Polled;
use crate::error::py_errors::{Class, raise_failure};
use crate::state::{EngineState, Lifecycle};
use crate::worker::Entered;

/// The wait for an engine's lifespan; it gives what that raised itself.
pub(super) struct Readiness {
    state: Arc<EngineState>,
    entered: oneshot::Receiver<Entered>,
}

impl Readiness {
    /// Begins to wait for what `enter` has entered; raises `EngineClosed`.
    pub(super) fn of(
        py: Python<'_>,
        state: &Arc<EngineState>,
        enter: impl FnOnce() -> oneshot::Receiver<Entered>,
    ) -> PyResult<Self> {
        if state.lifecycle() != Lifecycle::Serving {
            return Err(no_longer(py, state));
        }
        Ok(Self { state: Arc::clone(state), entered: enter() })
    }

    /// Whether the lifespan is entered; raises what it raised.
    pub(super) fn poll_entered(&mut self, py: Python<'_>, waker: &Waker) -> Poll<PyResult<()>> {
        Pin::new(&mut self.entered).poll(&mut Context::from_waker(waker)).map(|entered| match entered {
            Ok(entered) => entered.map_err(|failure| raise_failure(py, &failure)),
            Err(_) => Err(no_longer(py, &self.state)),
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

fn no_longer(py: Python<'_>, state: &EngineState) -> PyErr {
    Class::EngineClosed.error(py, (format!("engine {} is closed", state.name),))
}
