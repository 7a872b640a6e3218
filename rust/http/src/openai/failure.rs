//! The failure of a handler whose items are no part of an answer.

use pybridge::{Failure, FailureKind, StreamError};

/// What a remote client is told of it.
const PUBLIC: &str = "the handler failed";

/// A failure of the handler's; `reason` is for logs and goes on from "the handler yielded".
#[cold]
pub(super) fn yielded(reason: impl std::fmt::Display) -> StreamError {
    let mut failure = Failure::new(FailureKind::Handler, "TypeError", format!("the handler yielded {reason}"));
    PUBLIC.clone_into(&mut failure.public_message);
    StreamError::Failed(Box::new(failure))
}
