//! How a stream ends. Exactly one of these is delivered per stream; a channel that closes without one is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::worker::Deferred;

/// Why a stream was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What kind of failure ended a stream; decides status and retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub const ALL: [Self; 12] = [
        Self::Handler,
        Self::Timeout,
        Self::Public,
        Self::InvalidArgument,
        Self::Encode,
        Self::Decode,
        Self::Overloaded,
        Self::PoolExhausted,
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
            Self::Overloaded | Self::PoolExhausted | Self::Closed | Self::Fork => 503,
            Self::Handler | Self::Encode | Self::HandlerExit | Self::Internal => 500,
        }
    }

    /// What a remote client is told of an exception of this kind; `None`: its own text.
    pub(crate) fn public_text(self) -> Option<&'static str> {
        Some(match self {
            Self::Public | Self::InvalidArgument | Self::Decode => return None,
            Self::Handler => "the handler failed",
            Self::Timeout => "the handler timed out",
            Self::Encode => "an item could not be encoded",
            Self::Overloaded | Self::PoolExhausted => "there is no room for the call now",
            Self::Closed | Self::Fork => "the service is closed",
            Self::HandlerExit => "the handler asked the process to exit",
            Self::Internal => "internal error",
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

/// A failure as it crosses to the consumer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// Class name of the Python exception.
    pub class: String,
    /// Text that may be shown to a remote client.
    pub public_message: String,
    /// The full text, for logs and for callers in the same process.
    pub message: String,
    /// What the handler says to the client, if it raised `PublicError`.
    pub answer: Option<Box<PublicAnswer>>,
    /// The exception object, for consumers in the same process.
    pub(crate) original: Option<Arc<Deferred>>,
}

impl Failure {
    /// A failure of pybridge's own, whose text is public.
    pub fn new(kind: FailureKind, class: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, class: class.to_owned(), public_message: message.clone(), message, answer: None, original: None }
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
