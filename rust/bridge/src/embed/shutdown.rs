//! The end of a program that does not finalize the interpreter.

use pyo3::prelude::*;

use super::install;

/// Ends all streams, leaves the lifespans and stops the workers, as the interpreter's exit does.
///
/// For programs that end without finalizing the interpreter. Blocks, detached, for at most three seconds; pybridge cannot
/// be used afterwards. The host's own runtime is left alone.
///
/// # Errors
/// What Python raises, such as `KeyboardInterrupt` while it waits.
pub fn shutdown(py: Python<'_>) -> PyResult<()> {
    install(py)?;
    py.import("pybridge._worker")?.call_method0("stop_all").map(drop)
}
