//! Kinds of failures: the HTTP status of each, and whether another try may succeed.

use std::collections::BTreeMap;

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
    fn every_kind_has_a_status_and_says_whether_to_try_again() {
        let kinds = FailureKind::ALL.map(|kind| (kind.status(), kind.retryable()));
        let (theirs, ours, again) = ((400, false), (500, false), (503, true));
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
}
