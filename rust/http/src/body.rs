//! The body of a streamed answer: chunks as they come, keep-alive, and a truthful end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame};
use pybridge::{ChunkStream, StreamError};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::error::HttpError;

/// A comment, which readers of events skip. No empty line follows: some would take that for an event without data.
const KEEP_ALIVE: Bytes = Bytes::from_static(b": ka\n");

/// Longest interval that is asked for; what is longer counts as this.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a client may leave unread what is left after a failure; then the answer breaks off without it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a streamed answer, for any server that takes an [`http_body::Body`].
///
/// After a failure it ends with an error, so that the server breaks the message off (no final chunk, a reset) and no client
/// takes what it has for the whole. What was sent before it, the event that tells of the failure included, has left
/// the server's buffers by then, unless the client reads so little that it is not gone after 30 s. Dropping it cancels the
/// handler with the reason `client`.
#[derive(Debug)]
pub struct ChunkBody {
    stage: Stage,
    chunks: ChunkStream,
    first: Option<Bytes>,
    /// What follows the last chunk of a stream whose handler finished.
    last: Option<Bytes>,
    keep_alive: Option<KeepAlive>,
    failures: Failures,
    /// Every piece of memory whose way out of the server is watched has a clone; `None`: no more follow.
    held: Option<Arc<oneshot::Sender<()>>>,
    /// Resolves when the server has let go of all of them, and bounds the wait for that once the stream has failed.
    released: oneshot::Receiver<()>,
    patience: Option<Pin<Box<Sleep>>>,
}

/// How a reader learns of a failure after the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    /// By an event, then by the abnormal end.
    Event,
    /// By the abnormal end alone.
    End,
}

#[derive(Debug)]
enum Stage {
    Streaming,
    /// The server has all that there is, and writes it.
    Failed(StreamError),
    /// The server has written the last of it, and has this turn to flush.
    Breaking(StreamError),
    Over,
}

/// The body broke off, because its stream failed after the head of the answer had been sent.
#[derive(Debug)]
pub struct Interrupted(StreamError);

impl Interrupted {
    /// How the stream ended.
    pub fn stream_error(&self) -> &StreamError {
        &self.0
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer broke off: {}", self.0)
    }
}

impl std::error::Error for Interrupted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl ChunkBody {
    pub(crate) fn new(chunks: ChunkStream, first: Option<Bytes>, failures: Failures) -> Self {
        let (held, released) = oneshot::channel();
        let held = Some(Arc::new(held));
        Self {
            stage: Stage::Streaming,
            chunks,
            first,
            last: None,
            keep_alive: None,
            failures,
            held,
            released,
            patience: None,
        }
    }

    pub(crate) fn keep_alive(&mut self, interval: Duration) {
        let interval = interval.min(LONGEST);
        self.keep_alive = (!interval.is_zero()).then(|| KeepAlive { interval, sent: Instant::now(), timer: None });
    }

    pub(crate) fn last(&mut self, last: Bytes) {
        self.last = Some(last);
    }

    /// What tells the client of `error`, if anything does.
    fn fail(&mut self, error: StreamError) -> Option<Bytes> {
        let event = (self.failures == Failures::Event).then(|| {
            let failure = HttpError::from(error.clone()).with_request_id(self.chunks.request_id());
            self.watch([b"event: error\ndata: ", &*failure.body(), b"\n\n"].concat().into())
        });
        self.held = None;
        self.stage = Stage::Failed(error);
        event
    }

    /// The same bytes, in memory that tells when the server is done with them: what it has written it drops.
    fn watch(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Watched { bytes, _held: self.held.clone() })
    }

    /// Ready when the server has written what was watched, or has had the time for it.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.released).poll(context).is_ready() {
            return Poll::Ready(());
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        patience.as_mut().poll(context)
    }

    fn poll_streaming(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.chunks).poll_next(context),
        };
        let Poll::Ready(next) = next else {
            return match &mut self.keep_alive {
                Some(keep_alive) => keep_alive.poll_due(context).map(|()| Some(KEEP_ALIVE)),
                None => Poll::Pending,
            };
        };
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.sent = Instant::now();
        }
        Poll::Ready(match next {
            // An event of the failure's comes after all chunks; without one they are watched themselves.
            Some(Ok(chunk)) if self.failures == Failures::End => Some(self.watch(chunk)),
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(error)) => self.fail(error),
            None => {
                self.stage = Stage::Over;
                self.last.take()
            }
        })
    }
}

impl Body for ChunkBody {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Streaming => {
                    self.stage = Stage::Streaming;
                    let bytes = ready!(self.poll_streaming(context));
                    if bytes.is_some() || matches!(self.stage, Stage::Over) {
                        return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
                    }
                }
                Stage::Failed(error) => {
                    if self.poll_written(context).is_pending() {
                        self.stage = Stage::Failed(error);
                    } else {
                        self.stage = Stage::Breaking(error);
                        context.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                Stage::Breaking(error) => return Poll::Ready(Some(Err(Interrupted(error)))),
                Stage::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

/// Bytes that hold what tells of their end.
struct Watched {
    bytes: Bytes,
    _held: Option<Arc<oneshot::Sender<()>>>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// When a comment is due on an answer that is silent.
#[derive(Debug)]
struct KeepAlive {
    interval: Duration,
    /// When something was sent. The timer is not moved for each chunk: it looks here when it fires.
    sent: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.sent + self.interval;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(timer.as_mut().poll(context));
            let now = Instant::now();
            if due <= now {
                self.sent = now;
                timer.as_mut().reset(now + self.interval);
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}
