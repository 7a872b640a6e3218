//! The ways in which answers end, by their names in logs.

use pybridge::{FailureKind, Reason, StreamError};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it was given to the server.
    Finished,
    /// The handler failed.
    Failed,
    /// The handler was stopped, or its client went.
    Cancelled(Reason),
    /// The request did not reach the handler.
    Refused,
}

impl Outcome {
    /// The name that users see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled(reason) => reason.as_str(),
            Self::Refused => "refused",
        }
    }
}

impl From<&StreamError> for Outcome {
    fn from(error: &StreamError) -> Self {
        use FailureKind::{Closed, Decode, Overloaded, PoolExhausted, TooLarge};

        match error {
            StreamError::Cancelled(reason) => Self::Cancelled(*reason),
            error if matches!(error.kind(), Some(Closed | Decode | Overloaded | PoolExhausted | TooLarge)) => {
                Self::Refused
            }
            _ => Self::Failed,
        }
    }
}
