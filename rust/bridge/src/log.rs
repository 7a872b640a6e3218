//! Messages to Python's `logging`, under `pybridge.*`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Logs `message` with `error`'s traceback as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn warning(py: Python<'_>, part: &str, message: &str, error: &PyErr) {
    say(py, part, intern!(py, "warning"), message, Some(error));
}

/// Logs `message` as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn notice(py: Python<'_>, part: &str, message: &str) {
    say(py, part, intern!(py, "warning"), message, None);
}

/// Logs `message` as an error of the logger `pybridge.<part>`. Never fails.
pub(crate) fn error(py: Python<'_>, part: &str, message: &str) {
    say(py, part, intern!(py, "error"), message, None);
}

fn say(py: Python<'_>, part: &str, level: &Bound<'_, PyString>, message: &str, error: Option<&PyErr>) {
    let logged = py.import(intern!(py, "logging")).and_then(|logging| {
        let logger = logging.call_method1(intern!(py, "getLogger"), (format!("pybridge.{part}"),))?;
        let keywords = PyDict::new(py);
        if let Some(error) = error {
            keywords.set_item(intern!(py, "exc_info"), error.clone_ref(py))?;
        }
        logger.call_method(level, ("%s", message), Some(&keywords))
    });
    if let Err(failed) = logged {
        failed.write_unraisable(py, None);
    }
}
