//! The context variable that holds the stream whose handler is running.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::coroutine::Driver;
use crate::base::context_vars::{context_value, copy_context, set_context_value};
use crate::state::StreamState;

static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The `contextvars.ContextVar` that holds the driver of the stream that code runs in.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    CURRENT
        .get_or_try_init(py, || {
            let class = py.import("contextvars")?.getattr("ContextVar")?;
            Ok(class.call1(("pybridge.current_stream",))?.unbind())
        })
        .map(|variable| variable.bind(py))
}

/// Makes `driver` the current stream of the context that code runs in.
pub(crate) fn enter(py: Python<'_>, driver: &Bound<'_, Driver>) -> PyResult<()> {
    set_context_value(variable(py)?, driver)
}

/// The driver of the stream that code runs in.
pub(crate) fn current_driver(py: Python<'_>) -> PyResult<Option<Bound<'_, Driver>>> {
    Ok(context_value(variable(py)?)?.and_then(|driver| driver.cast_into::<Driver>().ok()))
}

/// The stream that code runs in: the parent of a nested call.
pub(crate) fn current_stream(py: Python<'_>) -> PyResult<Option<Arc<StreamState>>> {
    Ok(current_driver(py)?.map(|driver| Arc::clone(&driver.get().stream)))
}

/// A copy of the context that code runs in, which belongs to no stream.
pub(crate) fn copy_outside(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let copy = copy_context(py)?;
    copy.call_method1("run", (variable(py)?.getattr("set")?, py.None()))?;
    Ok(copy.unbind())
}
