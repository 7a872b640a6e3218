//! The `contextvars.Context` of each asyncio task of an engine, and the name of those tasks.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What an engine's tasks are made with.
pub(crate) struct TaskSettings {
    /// The context in which the engine was made, without the stream that it may have been made for.
    pub(crate) context: Py<PyAny>,
    pub(crate) name: Py<PyString>,
}

impl TaskSettings {
    /// A context for one task.
    pub(crate) fn copy_context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.context.call_method0(py, intern!(py, "copy"))
    }
}
