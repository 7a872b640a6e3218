//! The error of an interpreter that could not be started or an engine that could not be made.

use std::fmt;

use pyo3::prelude::*;

use crate::error::{py_errors, traceback};

/// Why the interpreter could not be started or an engine could not be made. Holds no Python object.
///
/// ```
/// # fn report(error: pybridge::SetupError) {
/// eprintln!("{error}"); // ModuleNotFoundError: No module named 'handlers'
/// if let Some(traceback) = &error.traceback {
///     eprintln!("{traceback}");
/// }
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[error("{class}: {message}")]
#[non_exhaustive]
pub struct SetupError {
    /// Name of the Python exception's class, or of the one that stands for what Rust found.
    pub class: String,
    /// The exception's text.
    pub message: String,
    /// The Python traceback, at most 8 KiB, where Python raised.
    pub traceback: Option<Box<str>>,
}

/// As `Display`, and the traceback after it: what `main` prints of the error that it returns.
impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.traceback.as_deref().map_or(Ok(()), |traceback| write!(f, "\n{traceback}"))
    }
}

impl SetupError {
    /// What Rust found, under the name of the exception that stands for it.
    pub(crate) fn new(class: &str, message: impl Into<String>) -> Self {
        Self { class: class.to_owned(), message: message.into(), traceback: None }
    }

    /// What Python raised.
    pub(crate) fn of(py: Python<'_>, error: &PyErr) -> Self {
        Self {
            class: py_errors::class_name(py, error),
            message: py_errors::text(py, error),
            traceback: traceback::text_of(py, error),
        }
    }
}
