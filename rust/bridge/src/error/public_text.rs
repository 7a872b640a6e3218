//! The text of failures that a remote client may see: no text of the handler's but that of its `PublicError`.

use super::failure_kinds::FailureKind;

/// What a remote client is told where the bridge or the host is at fault.
pub(crate) const INTERNAL: &str = "internal error";

impl FailureKind {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
