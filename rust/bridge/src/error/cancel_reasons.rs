//! Reasons of cancellations: the name and the HTTP status of each, and whether another try may succeed.

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
    fn every_reason_has_a_status_and_says_whether_to_try_again() {
        let reasons = Reason::ALL.map(|reason| (reason.status(), reason.retryable()));
        let again = (503, true);
        let expected =
            [(499, false), (499, false), (504, false), (504, false), again, (499, false), (408, false), again];
        assert_eq!(reasons, expected);
    }
}
