//! How a stream that did not finish looks to a Rust consumer.

use super::ending::{Failure, FailureKind, PublicAnswer, Reason};

/// What a Rust consumer sees instead of the next item.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// The stream ended with a failure.
    #[error("{}: {}", .0.class, .0.message)]
    Failed(Box<Failure>),
    /// The stream was cancelled.
    #[error("stream cancelled: {}", .0.as_str())]
    Cancelled(Reason),
    /// A frame does not decode to the type asked for.
    #[error("response not decodable: {0}")]
    Response(String),
}

impl StreamError {
    /// HTTP status of a call that ends this way before its first item.
    pub fn status(&self) -> u16 {
        match self {
            Self::Failed(failure) => failure.status(),
            Self::Cancelled(reason) => reason.status(),
            Self::Response(_) => FailureKind::Internal.status(),
        }
    }

    /// Whether the same call may succeed on another try.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Failed(failure) => failure.retryable(),
            Self::Cancelled(reason) => reason.retryable(),
            Self::Response(_) => FailureKind::Internal.retryable(),
        }
    }

    /// What a remote client may be told.
    pub fn public_message(&self) -> String {
        match self {
            Self::Failed(failure) => failure.public_message.clone(),
            Self::Cancelled(_) => self.to_string(),
            Self::Response(_) => "internal error".to_owned(),
        }
    }

    /// The answer that the handler chose by raising `PublicError`: code and headers for the client.
    pub fn answer(&self) -> Option<&PublicAnswer> {
        match self {
            Self::Failed(failure) => failure.answer.as_deref(),
            Self::Cancelled(_) | Self::Response(_) => None,
        }
    }
}
