//! A failure as it crosses from the handler to the consumer.

use std::sync::Arc;

use super::failure_kinds::{FailureKind, PublicAnswer};
use crate::base::deferred_release::LoopOwned;

/// A failure as it crosses to the consumer. It holds text and no object of Python's, unless a Python program consumes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// Class name of the Python exception.
    pub class: String,
    /// Text that may be shown to a remote client.
    pub public_message: String,
    /// The full text, for logs and for callers in the same process.
    pub message: String,
    /// Python's traceback as text, at most 8 KiB: its head and its tail, for logs. Made where the consumer is a Rust program
    /// and the handler raised something other than `PublicError`; with lines of source ten times a second at most.
    pub traceback: Option<Box<str>>,
    /// Name of the `Limits` field that was passed.
    pub limit: Option<Box<str>>,
    /// What the handler says to the client, if it raised `PublicError`.
    pub answer: Option<Box<PublicAnswer>>,
    /// The exception object, for Python consumers.
    pub(crate) original: Option<Arc<LoopOwned>>,
}

impl Failure {
    /// A failure of pybridge's own, whose text is public.
    pub fn new(kind: FailureKind, class: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            class: class.to_owned(),
            public_message: message.clone(),
            message,
            traceback: None,
            limit: None,
            answer: None,
            original: None,
        }
    }

    /// A limit of [`Limits`](crate::codec::Limits) or of the pool that was passed, by the name of its field.
    pub(crate) fn over(kind: FailureKind, limit: &str, message: String) -> Self {
        Self { limit: Some(limit.into()), ..Self::new(kind, "LimitExceeded", message) }
    }

    /// HTTP status of this failure before the first item.
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or_else(|| self.kind.status(), |answer| answer.status)
    }

    /// Whether the same call may succeed on another try.
    pub fn retryable(&self) -> bool {
        self.answer.as_ref().map_or_else(|| self.kind.retryable(), |answer| answer.retryable)
    }

    /// What a stream ends with when a panic in the bridge ended it.
    pub(crate) fn panicked() -> Self {
        Self::new(FailureKind::Internal, "InternalError", "internal error: a Rust panic ended this stream")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_answer_of_a_public_error_stands_above_its_kind() {
        let mut failure = Failure::new(FailureKind::Handler, "ValueError", "why");
        assert_eq!((failure.status(), failure.retryable()), (500, false));
        assert_eq!((&*failure.message, &*failure.public_message), ("why", "why"));
        let answer = PublicAnswer { status: 429, retryable: true, code: None, headers: BTreeMap::new() };
        failure.answer = Some(Box::new(answer));
        assert_eq!((failure.status(), failure.retryable()), (429, true));
        assert_eq!(Failure::panicked().kind, FailureKind::Internal);
    }

    #[test]
    fn a_failure_by_a_limit_names_it() {
        let failure = Failure::over(FailureKind::TooLarge, "max_frame_bytes", "why".to_owned());
        assert_eq!((&*failure.class, failure.limit.as_deref()), ("LimitExceeded", Some("max_frame_bytes")));
        assert_eq!((failure.kind, &*failure.message), (FailureKind::TooLarge, "why"));
    }
}
