//! Small things about exceptions and the interpreter that several files need.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

/// `StopIteration(value)`, which is how an awaitable returns.
pub(crate) fn stop_iteration(_py: Python<'_>, value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}
