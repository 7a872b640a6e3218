//! The `HandlerExit` that replaces a `SystemExit` or `KeyboardInterrupt` of a handler, where those would end what is not its own.

use pybridge_base::exception::said;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use super::py_errors::Class;

/// What a consumer gets for an exception that asks the process to exit, `SystemExit` or `KeyboardInterrupt`; None for others.
pub(crate) fn contained_exit(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    (error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py))
        .then(|| exit(py, error))
}

/// What those who wait for a lifespan get for an exception that is no `Exception`: it would end their own task or program. None
/// for others.
pub(crate) fn contained_base(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    (!error.is_instance_of::<PyException>(py)).then(|| exit(py, error))
}

fn exit(py: Python<'_>, error: &PyErr) -> PyErr {
    let exit = Class::HandlerExit.error(py, (said(error),));
    exit.set_cause(py, Some(error.clone_ref(py)));
    exit
}
