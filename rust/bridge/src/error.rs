//! The catalogue of failures; the only file that names Python exception classes.

use pyo3::prelude::*;

/// Why an item could not become a frame.
#[derive(Debug)]
pub enum EncodeError {
    /// A value that the codec does not take.
    Value {
        /// Where, from the item's root: `$.a[3]`.
        path: String,
        /// What is wrong, naming the type.
        reason: String,
    },
    /// A limit was passed; the name is the `Limits` field.
    Limit {
        /// Name of the `Limits` field.
        limit: &'static str,
        /// Where.
        path: String,
        /// What was found.
        reason: String,
    },
    /// User code (a hook, a descriptor) raised.
    Raised {
        /// Where.
        path: String,
        /// The exception.
        error: PyErr,
    },
}

/// Why bytes could not become a value.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a message of the format.
    #[error("{reason} at byte {offset}")]
    Invalid {
        /// Byte offset of the failure.
        offset: usize,
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
