//! Errors of encoding and decoding, and what their messages quote.

use std::borrow::Cow;

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

/// A [`DecodeError`] in a box, so that the good case is returned in a register.
#[derive(Debug)]
pub(super) struct BoxedError(Box<DecodeError>);

impl From<DecodeError> for BoxedError {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Self(Box::new(error))
    }
}

impl From<BoxedError> for DecodeError {
    fn from(error: BoxedError) -> Self {
        *error.0
    }
}

/// The error of a limit that was passed.
#[cold]
pub(super) fn over(limit: &'static str, offset: usize, reason: String) -> BoxedError {
    DecodeError::Limit { limit, offset, reason }.into()
}

/// The error of bytes that are no message of the format.
#[cold]
pub(super) fn invalid(offset: usize, reason: impl Into<String>) -> BoxedError {
    DecodeError::Invalid { offset, reason: reason.into() }.into()
}

/// Characters of a key or of what else comes from a value before a message cuts it; it may be as long as a frame.
pub(super) const MAX_QUOTED: usize = 64;

/// The beginning of a text that a message quotes.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
