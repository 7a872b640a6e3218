//! How a stream ends. Exactly one of these is delivered per stream; a channel that closes without one is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::worker::Deferred;

/// Why a stream was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// The remote peer has gone.
    Client = 1,
    /// The consumer broke off, dropped, closed or called `cancel()`.
    Caller,
    /// The whole-stream timeout passed.
    Deadline,
    /// No item came for the idle timeout.
    Idle,
    /// The engine or the process is closing.
    Shutdown,
    /// The stream that made this call was cancelled.
    Parent,
    /// Back-pressure lasted longer than the write timeout.
    SlowConsumer,
    /// Something outside pybridge cancelled the asyncio task or closed the loop.
    External,
}

impl Reason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Caller,
        Self::Deadline,
        Self::Idle,
        Self::Shutdown,
        Self::Parent,
        Self::SlowConsumer,
        Self::External,
    ];

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The name users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Caller => "caller",
            Self::Deadline => "deadline",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
            Self::Parent => "parent",
            Self::SlowConsumer => "slow_consumer",
            Self::External => "external",
        }
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Whether the same call may succeed on another try.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Shutdown | Self::External)
    }

    /// HTTP status of a stream that ends this way before its first item.
    pub fn status(self) -> u16 {
        match self {
            Self::Client | Self::Caller | Self::Parent => 499,
            Self::Deadline | Self::Idle => 504,
            Self::Shutdown | Self::External => 503,
            Self::SlowConsumer => 408,
        }
    }
}

/// What a remote client is told where the bridge or the host is at fault.
pub(super) const INTERNAL: &str = "internal error";

/// What kind of failure ended a stream; decides status and retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler raised.
    Handler,
    /// The handler raised `TimeoutError`.
    Timeout,
    /// The handler raised `PublicError`, which has an answer of its own.
    Public,
    /// The handler raised `InvalidArgument`, or an option of the call cannot be.
    InvalidArgument,
    /// An item could not be encoded, or passed a limit.
    Encode,
    /// A request or response could not be decoded.
    Decode,
    /// No place for the call.
    Overloaded,
    /// The pool's budget is used up.
    PoolExhausted,
    /// The request is larger than a request may be.
    TooLarge,
    /// The engine is closing or closed.
    Closed,
    /// `SystemExit` or `KeyboardInterrupt` from the handler.
    HandlerExit,
    /// The process forked after the bridge had started.
    Fork,
    /// A defect of the bridge.
    Internal,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Handler,
        Self::Timeout,
        Self::Public,
        Self::InvalidArgument,
        Self::Encode,
        Self::Decode,
        Self::Overloaded,
        Self::PoolExhausted,
        Self::TooLarge,
        Self::Closed,
        Self::HandlerExit,
        Self::Fork,
        Self::Internal,
    ];

    /// HTTP status of a failure of this kind before the first item.
    pub fn status(self) -> u16 {
        match self {
            Self::Public | Self::InvalidArgument | Self::Decode => 400,
            Self::Timeout => 504,
            Self::TooLarge => 413,
            Self::Overloaded | Self::PoolExhausted | Self::Closed | Self::Fork => 503,
            Self::Handler | Self::Encode | Self::HandlerExit | Self::Internal => 500,
        }
    }

    /// What a remote client is told of an exception of this kind; `None`: its own text.
    pub(crate) fn public_text(self) -> Option<&'static str> {
        Some(match self {
            Self::Public | Self::InvalidArgument | Self::Decode | Self::TooLarge => return None,
            Self::Handler => "the handler failed",
            Self::Timeout => "the handler timed out",
            Self::Encode => "an item could not be encoded",
            Self::Overloaded | Self::PoolExhausted => "there is no room for the call now",
            Self::Closed | Self::Fork => "the service is closed",
            Self::HandlerExit => "the handler asked the process to exit",
            Self::Internal => INTERNAL,
        })
    }

    /// Whether the same call may succeed on another try: nothing but its place or its engine was wrong.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::PoolExhausted | Self::Closed)
    }
}

/// What the handler's `PublicError` says to a remote client, beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicAnswer {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Whether the same call may succeed on another try.
    pub retryable: bool,
    /// A name of the failure for programs.
    pub code: Option<String>,
    /// More headers; none holds control characters.
    pub headers: BTreeMap<String, String>,
}

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

    use pyo3::Python;
    use pyo3::types::PyDict;

    use super::*;
    use crate::worker::Mailbox;

    #[test]
    fn every_reason_has_its_code_and_its_name() {
        for (number, reason) in (1_u8..).zip(Reason::ALL) {
            assert_eq!((reason as u8, Reason::from_code(number)), (number, Some(reason)));
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!((Reason::from_code(0), Reason::from_code(9), Reason::from_name("")), (None, None, None));
        assert_eq!(Reason::SlowConsumer.as_str(), "slow_consumer");
    }

    #[test]
    fn reasons_and_kinds_have_a_status_and_say_whether_to_try_again() {
        let reasons = Reason::ALL.map(|reason| (reason.status(), reason.retryable()));
        let again = (503, true);
        let expected =
            [(499, false), (499, false), (504, false), (504, false), again, (499, false), (408, false), again];
        assert_eq!(reasons, expected);
        let kinds = FailureKind::ALL.map(|kind| (kind.status(), kind.retryable()));
        let (theirs, ours) = ((400, false), (500, false));
        let expected = [
            ours,
            (504, false),
            theirs,
            theirs,
            ours,
            theirs,
            again,
            again,
            (413, false),
            again,
            ours,
            (503, false),
            ours,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn clients_are_told_the_text_of_what_they_did_and_no_text_of_the_handlers() {
        for kind in FailureKind::ALL {
            let theirs = matches!(kind.status(), 400 | 413);
            assert_eq!(kind.public_text().is_none(), theirs, "{kind:?}");
            assert!(kind.public_text().is_none_or(|text| text.len() > 10 && text.is_ascii()), "{kind:?}");
        }
        assert_eq!(FailureKind::Handler.public_text(), Some("the handler failed"));
    }

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
        let home = Arc::new(Mailbox::new().expect("a descriptor"));
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
