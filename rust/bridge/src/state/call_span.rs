//! A call as `tracing` sees it: one span from its start to its ending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::Span;
use tracing::field::Empty;

use super::call_options::CallOptions;
use super::ending::Ending;
use super::engine_state::EngineState;
use super::stream_state::StreamState;
use crate::base::lock::{Mutex, lock};
use crate::error::Failure;

/// The span of one call, until that ends. No thread enters it: on each of them the turns of many calls alternate.
#[derive(Debug)]
pub(crate) struct CallSpan(Mutex<Option<Span>>);

impl CallSpan {
    /// A child of `parent`, else of the span that the calling thread is in.
    pub(crate) fn new(engine: &EngineState, id: u64, options: &CallOptions, parent: Option<&Arc<StreamState>>) -> Self {
        let parent = parent.map_or_else(Span::current, |parent| parent.span.span());
        let request_id = options.request_id.clone().unwrap_or_else(|| StreamState::made_up_name(id));
        let span = tracing::info_span!(
            target: "pybridge",
            parent: &parent,
            "pybridge.call",
            engine = engine.name,
            request_id,
            traceparent = options.traceparent,
            ending = Empty,
            reason = Empty,
            items = Empty,
            bytes = Empty,
        );
        Self(Mutex::new(Some(span)))
    }

    fn span(&self) -> Span {
        lock(&self.0).clone().unwrap_or_else(Span::none)
    }

    /// Notes how the call ended and what it made, and closes the span. False: the subscriber panicked.
    pub(crate) fn end(&self, ending: &Ending, (items, bytes): (usize, usize)) -> bool {
        let span = lock(&self.0).take();
        let Some(span) = span else { return true };
        let close = || {
            let (ending, reason) = match ending {
                Ending::Finished => ("finished", None),
                Ending::Raised(failure) => ("raised", Some(&*failure.class)),
                Ending::Cancelled(cancellation) => ("cancelled", Some(cancellation.reason.as_str())),
            };
            span.record("ending", ending).record("reason", reason).record("items", items).record("bytes", bytes);
            drop(span);
        };
        catch_unwind(AssertUnwindSafe(close)).is_ok()
    }

    /// Tells of a failure in the call's span.
    pub(crate) fn tell(&self, request_id: &str, failure: &Failure) {
        tracing::error!(
            target: "pybridge",
            parent: &self.span(),
            request_id,
            class = failure.class,
            error = failure.message,
            traceback = failure.traceback.as_deref().map(tracing::field::display),
            "{}",
            failure.public_message
        );
    }
}
