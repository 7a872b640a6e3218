//! Errors of encoding and decoding.

use pyo3::PyErr;

/// Why an item could not become a frame.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A value that the codec does not take.
    #[error("{reason} (at {path})")]
    Value {
        /// Where, from the item's root: `$.a[3]`.
        path: String,
        /// What is wrong, naming the type.
        reason: String,
    },
    /// A limit was passed; the name is the `Limits` field.
    #[error("{reason} at {path} ({limit})")]
    Limit {
        /// Name of the `Limits` field.
        limit: &'static str,
        /// Where.
        path: String,
        /// What was found.
        reason: String,
    },
    /// User code (a hook, a descriptor) raised.
    #[error("{reason} (at {path})")]
    Raised {
        /// Where.
        path: String,
        /// Who raised what.
        reason: String,
        /// The exception.
        error: PyErr,
    },
}

/// Why bytes could not become a value.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a message of the format.
    #[error("{reason} (at byte {offset})")]
    Invalid {
        /// Byte offset of the failure.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// A message of the format, but not a value of the type asked for.
    #[error("{reason}")]
    Mismatch {
        /// What is wrong.
        reason: String,
    },
    /// A limit was passed.
    #[error("{reason} at byte {offset} ({limit})")]
    Limit {
        /// Name of the `Limits` field.
        limit: &'static str,
        /// Byte offset of the failure.
        offset: usize,
        /// What was found.
        reason: String,
    },
    /// The interpreter failed (memory, interrupt).
    #[error("{0}")]
    Python(PyErr),
}
