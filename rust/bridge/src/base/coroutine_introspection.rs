//! Stand-ins for frame, code and state, which `inspect` and asyncio look up on coroutines made in Rust.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// An attribute of the Python generator whose frame and code stand for those of coroutines made in Rust.
pub(crate) fn stand_in<'py>(py: Python<'py>, attribute: &str) -> PyResult<Bound<'py, PyAny>> {
    static GENERATOR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GENERATOR.import(py, "pybridge._worker", "rust_coroutine")?.getattr(attribute)
}

/// The `cr_state` of a coroutine, which `inspect` reads from Python 3.15 on.
pub(crate) fn state_name(running: bool, suspended: bool, done: bool) -> &'static str {
    match (running, suspended, done) {
        (true, _, _) => "CORO_RUNNING",
        (_, true, _) => "CORO_SUSPENDED",
        (_, _, true) => "CORO_CLOSED",
        _ => "CORO_CREATED",
    }
}
