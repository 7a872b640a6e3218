//! The error that a Rust consumer sees of a stream that did not finish.

use pyo3::{PyErr, Python};

use crate::error::py_errors::{decode_error, raise_cancelled, raise_failure};
use crate::error::{Failure, FailureKind, INTERNAL, PublicAnswer, Reason};

/// What a Rust consumer sees instead of the next item.
///
/// After [`Failed`](Self::Failed) and [`Cancelled`](Self::Cancelled) a stream gives `None`; after
/// [`Response`](Self::Response) it goes on with the next item. `Display` shows what a remote client may see and nothing
/// else; [`detail`](Self::detail) is for logs. It keeps no object of Python's: a kept one costs the text that it holds, at most
/// about 8 KiB of traceback.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream ended with a failure.
    Failed(Box<Failure>),
    /// The stream was cancelled.
    Cancelled(Reason),
    /// What came is not what was asked for, an item of another type or another number of items; why.
    Response(Box<Failure>),
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(failure) | Self::Response(failure) => f.write_str(&failure.public_message),
            Self::Cancelled(reason) => write!(f, "stream cancelled: {}", reason.as_str()),
        }
    }
}

impl std::error::Error for StreamError {}

impl StreamError {
    /// What is said of an item, or of their number, that does not fit what was asked for.
    pub(crate) fn response(reason: impl Into<String>) -> Self {
        let failure = Failure::new(FailureKind::Internal, "DecodeError", reason);
        Self::Response(Box::new(Failure { public_message: INTERNAL.to_owned(), ..failure }))
    }

    /// What kind of failure it is; `None` for a cancellation.
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failed(failure) | Self::Response(failure) => Some(failure.kind),
            Self::Cancelled(_) => None,
        }
    }

    /// HTTP status of a call that ends this way before its first item.
    pub fn status(&self) -> u16 {
        match self {
            Self::Failed(failure) | Self::Response(failure) => failure.status(),
            Self::Cancelled(reason) => reason.status(),
        }
    }

    /// Whether the same call may succeed on another try.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Failed(failure) | Self::Response(failure) => failure.retryable(),
            Self::Cancelled(reason) => reason.retryable(),
        }
    }

    /// What a remote client may be told; `Display` shows the same.
    pub fn public_message(&self) -> String {
        self.to_string()
    }

    /// Everything that is known of a failure, for logs: class, message and traceback. `None`: it is a cancellation.
    pub fn detail(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Response(failure) => Some(failure),
            Self::Cancelled(_) => None,
        }
    }

    /// The answer that the handler chose by raising `PublicError`: code and headers for the client.
    pub fn answer(&self) -> Option<&PublicAnswer> {
        self.detail()?.answer.as_deref()
    }

    /// True if time ran out: the deadline, the idle timeout, or a `TimeoutError` of the handler's.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Cancelled(Reason::Deadline | Reason::Idle)) || self.kind() == Some(FailureKind::Timeout)
    }

    /// True if either side asked the stream to stop, time limits included.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// The exception that a Python consumer would see for it, made anew: for what a handler raised of the same class where that
    /// is one of Python's own, else a `RuntimeError` that names it.
    pub fn to_pyerr(&self, py: Python<'_>) -> PyErr {
        match self {
            Self::Failed(failure) => raise_failure(py, failure),
            Self::Cancelled(reason) => raise_cancelled(py, *reason),
            Self::Response(failure) => decode_error(py, &failure.message),
        }
    }
}
