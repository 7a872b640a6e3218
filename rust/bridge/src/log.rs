//! Messages to Python's `logging`, under `pybridge.*`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Logs `message` with `error`'s traceback as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn warning(py: Python<'_>, part: &str, message: &str, error: &PyErr) {
    let logged = py.import(intern!(py, "logging")).and_then(|logging| {
        let logger = logging.call_method1(intern!(py, "getLogger"), (format!("pybridge.{part}"),))?;
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.clone_ref(py))?;
        logger.call_method(intern!(py, "warning"), ("%s", message), Some(&keywords))
    });
    if let Err(failed) = logged {
        failed.write_unraisable(py, None);
    }
}
