//! Endings of streams. Exactly one is delivered per stream; a channel that closes without one is an error.

use std::sync::Arc;

use crate::base::deferred_release::LoopOwned;
use crate::error::{Failure, Reason};

/// A cancellation as it crosses to the consumer.
#[derive(Debug, Clone)]
pub struct Cancellation {
    /// Why it was asked for.
    pub reason: Reason,
    /// What the handler's cleanup raised, for consumers in the same process.
    pub(crate) context: Option<Arc<LoopOwned>>,
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
    pub(crate) fn exception(&self) -> Option<&Arc<LoopOwned>> {
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
    use crate::base::deferred_release::Owner;
    use crate::error::FailureKind;
    use crate::worker::Mailbox;

    #[test]
    fn an_exception_goes_to_whoever_asks_first() {
        let owner: Arc<dyn Owner> = Arc::new(Mailbox::new().expect("a descriptor")).sink();
        let exception = || {
            Some(Arc::new(LoopOwned::new(Python::attach(|py| PyDict::new(py).into_any().unbind()), Arc::clone(&owner))))
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
