//! A handle that cancels a stream without reading it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use crate::error::Reason;
use crate::state::StreamState;

/// Stops one call from wherever it is put: another task, the guard of a connection, a list of what is running.
///
/// Clones stop the same call. It keeps nothing of the stream alive, and does nothing once that has ended.
///
/// ```no_run
/// # async fn answer(engine: pybridge::Engine, gone: impl Future<Output = ()> + Send + 'static) -> Result<(), pybridge::StreamError> {
/// use pybridge::codec::Framing;
/// use pybridge::{CallOptions, Reason};
///
/// let chunks = engine.chunks(&br#"{"prompt": "Hello"}"#[..], Framing::Sse, CallOptions::default())?;
/// let canceller = chunks.canceller();
/// canceller.on_drop(Reason::Client); // whoever drops `chunks` unread says that the peer has gone
/// tokio::spawn(async move {
///     gone.await;
///     println!("{} is not wanted any more", canceller.request_id());
///     canceller.cancel(Reason::Client);
/// });
/// # drop(chunks);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Canceller {
    stream: Weak<StreamState>,
    request_id: Arc<str>,
}

/// Sets why the stream is cancelled when its consumer drops it.
pub(super) fn set_drop_reason(stream: &StreamState, reason: Reason) {
    stream.drop_reason.store(reason as u8, Ordering::Release);
}

impl Canceller {
    pub(super) fn of(stream: &Arc<StreamState>) -> Self {
        Self { stream: Arc::downgrade(stream), request_id: stream.request_id().into() }
    }

    /// Asks the handler to stop; items already queued still come, then [`StreamError::Cancelled`](crate::StreamError).
    /// The first reason stands.
    pub fn cancel(&self, reason: Reason) {
        if let Some(stream) = self.stream.upgrade() {
            stream.cancel(reason);
        }
    }

    /// Sets the reason that dropping the stream gives; [`Reason::Caller`] unless set.
    pub fn on_drop(&self, reason: Reason) {
        if let Some(stream) = self.stream.upgrade() {
            set_drop_reason(&stream, reason);
        }
    }

    /// Ready once the stream has its ending, which comes after its handler's cleanup or when the grace for that is over.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let is_over = self.stream.upgrade().is_none_or(|stream| stream.queue.is_over_or_wake(Some(context.waker())));
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Name of the request in logs and in the handler's `Context`.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}
