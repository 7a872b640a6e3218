//! The `RuntimeError` that replaces a `StopIteration` or `StopAsyncIteration` raised by a handler.

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;

/// What stands for `StopIteration` or `StopAsyncIteration` from a handler, as for one from a generator of Python's own: a
/// consumer would take them for the end of its stream. `None` for other exceptions.
pub(super) fn replacement(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    let stops = error.is_instance_of::<PyStopIteration>(py) || error.is_instance_of::<PyStopAsyncIteration>(py);
    stops.then(|| {
        let class = error.get_type(py).qualname().map_or_else(|_| "StopIteration".to_owned(), |name| name.to_string());
        let failure = PyRuntimeError::new_err(format!("the handler raised {class}"));
        failure.set_cause(py, Some(error.clone_ref(py)));
        failure
    })
}
