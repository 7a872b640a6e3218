//! Messages to Python's `logging`, under `pybridge.*`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Logs `message` with `error`'s traceback as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn warning(py: Python<'_>, part: &str, message: &str, error: &PyErr) {
    warn(py, part, message, Some(error));
}

/// Logs `message` as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn notice(py: Python<'_>, part: &str, message: &str) {
    warn(py, part, message, None);
}

fn warn(py: Python<'_>, part: &str, message: &str, error: Option<&PyErr>) {
    let logged = py.import(intern!(py, "logging")).and_then(|logging| {
        let logger = logging.call_method1(intern!(py, "getLogger"), (format!("pybridge.{part}"),))?;
        let keywords = PyDict::new(py);
        if let Some(error) = error {
            keywords.set_item(intern!(py, "exc_info"), error.clone_ref(py))?;
        }
        logger.call_method(intern!(py, "warning"), ("%s", message), Some(&keywords))
    });
    if let Err(failed) = logged {
        failed.write_unraisable(py, None);
    }
}
