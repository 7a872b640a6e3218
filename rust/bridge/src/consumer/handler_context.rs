//! The `Context` object: a handler's view of its own call.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use pyo3::exceptions::PyLookupError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy};

use super::awaitable::{Awaited, Goal};
use crate::driver::{Driver, current_driver};
use crate::error::Reason;
use crate::state::StreamState;

/// The `Context` of the stream that code runs in. Raises `LookupError` outside a handler.
#[python_entry]
#[pyfunction]
pub(crate) fn current_context(py: Python<'_>) -> PyResult<Py<PyAny>> {
    match current_driver(py)? {
        Some(driver) => context_of(&driver),
        None => Err(PyLookupError::new_err("no handler of a PooledEngine is running here")),
    }
}

/// The handler's view of its call: who called, how long is left, whether it should stop.
#[python_entry]
#[pyclass(frozen, name = "Context", module = "pybridge", weakref)]
pub(crate) struct Context {
    stream: Arc<StreamState>,
    metadata: Py<PyAny>,
    state: Py<PyAny>,
    deadline: OnceLock<f64>,
}

/// The `Context` of a driver's stream, made when first asked for.
pub(crate) fn context_of(driver: &Bound<'_, Driver>) -> PyResult<Py<PyAny>> {
    driver.get().context(|| Context::of(driver).map(Py::into_any)).map(|context| context.clone_ref(driver.py()))
}

impl Context {
    fn of(driver: &Bound<'_, Driver>) -> PyResult<Py<Self>> {
        let (py, stream) = (driver.py(), &driver.get().stream);
        let metadata = PyDict::new(py);
        for (key, value) in &stream.options.metadata {
            metadata.set_item(key, value)?;
        }
        let state = driver.get().worker.get().lifespan_state(py, &stream.engine);
        Py::new(
            py,
            Self {
                stream: Arc::clone(stream),
                metadata: PyMappingProxy::new(py, metadata.as_mapping()).into_any().unbind(),
                state,
                deadline: OnceLock::new(),
            },
        )
    }

    pub(crate) fn stream(&self) -> &Arc<StreamState> {
        &self.stream
    }
}

#[python_entry]
#[pymethods]
impl Context {
    /// Name of the request: the caller's `request_id`, else one made here.
    #[getter]
    fn id(&self) -> String {
        self.stream.request_id()
    }

    /// The caller's metadata: a read-only mapping of str to str.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> Py<PyAny> {
        self.metadata.clone_ref(py)
    }

    /// What the engine's `lifespan` yielded on this worker, else None.
    #[getter]
    fn state(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.clone_ref(py)
    }

    /// When the stream must be done, on `time.monotonic()`'s clock, in seconds; None: no deadline.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let Some(deadline) = self.stream.deadline else { return Ok(None) };
        if let Some(&known) = self.deadline.get() {
            return Ok(Some(known));
        }
        let clock: f64 = py.import(intern!(py, "time"))?.call_method0(intern!(py, "monotonic"))?.extract()?;
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now).as_secs_f64();
        let late = now.saturating_duration_since(deadline).as_secs_f64();
        Ok(Some(*self.deadline.get_or_init(|| clock + left - late)))
    }

    /// Seconds left until the deadline, never below 0; None: no deadline.
    fn remaining(&self) -> Option<f64> {
        self.stream.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64())
    }

    /// True once the stream has been asked to stop.
    #[getter]
    fn cancelled(&self) -> bool {
        self.stream.cancel_reason().is_some()
    }

    /// Why the stream was asked to stop, else None.
    #[getter]
    fn cancel_reason(&self) -> Option<&'static str> {
        self.stream.cancel_reason().map(Reason::as_str)
    }

    /// True as soon as the stream is asked to stop, False when it ends without that. Suspends until then, on any loop.
    fn wait_cancelled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Awaited>> {
        Awaited::new(py, Goal::Cancelled(Arc::clone(&self.stream)))
    }

    /// Asks the stream to stop, with the reason `caller`. Thread-safe.
    fn cancel(&self) {
        self.stream.cancel(Reason::Caller);
    }

    /// W3C `traceparent` of the call, as it came; else None.
    #[getter]
    fn traceparent(&self) -> Option<&str> {
        self.stream.options.traceparent.as_deref()
    }

    /// W3C `tracestate` of the call, as it came; else None.
    #[getter]
    fn tracestate(&self) -> Option<&str> {
        self.stream.options.tracestate.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<pybridge.Context of request {}>", self.stream.request_id())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.metadata)?;
        visit.call(&self.state)
    }
}
