//! Messages to Python's `logging`, under `pybridge.*`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyString};

/// Logs `message` with `error`'s traceback as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn warning(py: Python<'_>, part: &str, message: &str, error: &PyErr) {
    say(py, part, intern!(py, "warning"), message, Some(error));
}

/// Logs `message` as a warning of the logger `pybridge.<part>`. Never fails.
pub(crate) fn notice(py: Python<'_>, part: &str, message: &str) {
    say(py, part, intern!(py, "warning"), message, None);
}

/// Logs `message` and what is known of a request's failure as an error of the logger `pybridge.<part>`; the record has both and
/// the request's id as attributes too. Never fails.
pub(crate) fn failure(py: Python<'_>, part: &str, message: &str, request_id: &str, traceback: &str) {
    let keywords = || {
        let extra = PyDict::new(py);
        extra.set_item(intern!(py, "request_id"), request_id)?;
        extra.set_item(intern!(py, "traceback"), traceback)?;
        [(intern!(py, "extra"), extra)].into_py_dict(py)
    };
    log(py, part, intern!(py, "error"), &format!("{message}\n{traceback}"), keywords);
}

fn say(py: Python<'_>, part: &str, level: &Bound<'_, PyString>, message: &str, error: Option<&PyErr>) {
    log(py, part, level, message, || {
        let keywords = PyDict::new(py);
        if let Some(error) = error {
            keywords.set_item(intern!(py, "exc_info"), error.clone_ref(py))?;
        }
        Ok(keywords)
    });
}

fn log<'py>(
    py: Python<'py>,
    part: &str,
    level: &Bound<'py, PyString>,
    message: &str,
    keywords: impl FnOnce() -> PyResult<Bound<'py, PyDict>>,
) {
    let logged = py.import(intern!(py, "logging")).and_then(|logging| {
        let logger = logging.call_method1(intern!(py, "getLogger"), (format!("pybridge.{part}"),))?;
        logger.call_method(level, ("%s", message), Some(&keywords()?))
    });
    if let Err(failed) = logged {
        failed.write_unraisable(py, None);
    }
}
