//! The reasons that a Python consumer may close a stream with.

use pyo3::prelude::*;

use crate::error::Reason;
use crate::py_errors::Class;

/// A reason that a Python consumer may close with.
pub(super) struct CloseReason(pub(super) Reason);

impl FromPyObject<'_, '_> for CloseReason {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let name = given.extract::<&str>().unwrap_or_default();
        if let Some(reason) = [Reason::Caller, Reason::Client].into_iter().find(|reason| reason.as_str() == name) {
            return Ok(Self(reason));
        }
        let text = format!("must be 'caller' or 'client', not {}", given.repr()?);
        Err(Class::Config.error(given.py(), ("reason", text)))
    }
}
