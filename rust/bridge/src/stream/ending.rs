//! Endings of streams. Exactly one is delivered per stream; a channel that closes without one is an error.

use std::sync::Arc;

use crate::error::{FailureKind, PublicAnswer, Reason};
use crate::worker::Deferred;

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
    pub(crate) original: Option<Arc<Deferred>>,
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

/// A cancellation as it crosses to the consumer.
#[derive(Debug, Clone)]
pub struct Cancellation {
    /// Why it was asked for.
    pub reason: Reason,
    /// What the handler's cleanup raised, for consumers in the same process.
    pub(crate) context: Option<Arc<Deferred>>,
}

impl From<Reason> for Cancellation {
    fn from(reason: Reason) -> Self {
        Self { reason, context: None }
    }
}

/// How a stream ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The generator ran out.
    Finished,
    /// The handler, or the way to or from it, failed.
    Raised(Box<Failure>),
    /// Either side asked it to stop.
    Cancelled(Cancellation),
}

impl Ending {
    /// The ending for the one who asks first; a copy without the exception object stays.
    ///
    /// The exception's traceback can lead back to the stream, through the handler's `context`: kept here it would keep
    /// both alive for good.
    pub(crate) fn hand_out(&mut self) -> Self {
        match self {
            Self::Finished => Self::Finished,
            Self::Raised(failure) => {
                let original = failure.original.take();
                Self::Raised(Box::new(Failure { original, ..(**failure).clone() }))
            }
            Self::Cancelled(cancellation) => {
                let context = cancellation.context.take();
                Self::Cancelled(Cancellation { context, ..*cancellation })
            }
        }
    }

    /// The exception that it brings along, if it still does.
    pub(crate) fn exception(&self) -> Option<&Arc<Deferred>> {
        match self {
            Self::Finished => None,
            Self::Raised(failure) => failure.original.as_ref(),
            Self::Cancelled(cancellation) => cancellation.context.as_ref(),
        }
    }

    pub(crate) fn cancelled(reason: Reason) -> Self {
        Self::Cancelled(reason.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

    use std::collections::BTreeMap;

    use pyo3::Python;
    use pyo3::types::PyDict;

    use super::*;
    use crate::state::Owner;
    use crate::worker::Mailbox;

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
    fn an_exception_goes_to_whoever_asks_first() {
        let home: Arc<dyn Owner> = Arc::new(Mailbox::new().expect("a descriptor")).sink();
        let exception = || {
            Some(Arc::new(Deferred::new(Python::attach(|py| PyDict::new(py).into_any().unbind()), Arc::clone(&home))))
        };
        let original = exception();
        let failure = Failure { original, ..Failure::new(FailureKind::Handler, "ValueError", "why") };
        let cancelled = Cancellation { reason: Reason::Deadline, context: exception() };
        for mut ending in [Ending::Raised(Box::new(failure)), Ending::Cancelled(cancelled)] {
            assert!(ending.exception().is_some());
            let first = ending.hand_out();
            assert!(first.exception().is_some() && ending.exception().is_none());
            let second = ending.hand_out();
            assert!(second.exception().is_none());
            match (first, second) {
                (Ending::Raised(first), Ending::Raised(second)) => assert_eq!(first.message, second.message),
                (Ending::Cancelled(first), Ending::Cancelled(second)) => assert_eq!(first.reason, second.reason),
                other => panic!("{other:?}"),
            }
        }
        let mut finished = Ending::Finished;
        assert!(matches!(finished.hand_out(), Ending::Finished) && finished.exception().is_none());
        let Ending::Cancelled(asked) = Ending::cancelled(Reason::Idle) else { panic!("it is no other ending") };
        assert!(asked.reason == Reason::Idle && asked.context.is_none());
    }
}
