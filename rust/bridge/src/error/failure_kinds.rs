//! Catalogue of failures: kinds, reasons of a cancellation, HTTP status, and whether another try may succeed.

use std::collections::BTreeMap;

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
pub(crate) const INTERNAL: &str = "internal error";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
