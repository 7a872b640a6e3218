//! The body of a streamed answer: chunks as they come, comments in between, and a truthful end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pybridge::{Reason, StreamError};
use tokio::time::Instant;

use super::answer_pieces::Source;
use super::answer_timer::{Timer, after};
use super::keep_alive::KeepAlive;
use super::released_pieces::Watch;
use crate::api::Api;
use crate::failure_answer::HttpError;
use crate::observe::{Outcome, Tally};

/// How long a client may leave unread what is left after a failure; then the answer breaks off without it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a streamed answer, for any server that takes an [`http_body::Body`].
///
/// After a failure it ends with an error, so that the server breaks the message off (no final chunk, a reset) and no client
/// takes what it has for the whole. What was sent before it, the event that tells of the failure included, has left
/// the server's buffers by then, unless the client reads so little that it is not gone after 30 s: the server drops the pieces
/// that it has written or copied. Dropping the body cancels the handler with the reason `client`.
#[derive(Debug)]
pub struct ChunkBody {
    stage: Stage,
    source: Source,
    failures: Failures,
    first: Option<Bytes>,
    keep_alive: KeepAlive,
    /// When something was sent. The timer is not moved for each chunk: it looks here when it fires.
    sent: Instant,
    timer: Timer,
    watch: Option<Watch>,
    /// How the stream failed.
    failed: Option<Outcome>,
}

/// How a reader learns of a failure after the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    /// By an event in the shape of this interface, then by the abnormal end.
    Event(Api),
    /// By the abnormal end alone.
    End,
}

#[derive(Debug)]
enum Stage {
    Streaming,
    /// The server has all that there is, and writes it.
    Failed(StreamError, Instant),
    /// The server has written the last of it, and has this turn to flush.
    Breaking(StreamError),
    /// Nothing follows but the first piece, if that has not been given.
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
    pub(crate) fn new(source: Source, failures: Failures) -> Self {
        // Without an event of the failure's, which comes after all chunks, the chunks are watched themselves.
        let watch = (failures == Failures::End).then(Watch::default);
        Self {
            stage: Stage::Streaming,
            source,
            failures,
            first: None,
            keep_alive: KeepAlive::default(),
            sent: Instant::now(),
            timer: Timer::default(),
            watch,
            failed: None,
        }
    }

    /// A body whose head may go: it has its first piece, or all, or `wait` has passed.
    ///
    /// # Errors
    /// The stream failed before its first piece.
    pub(crate) async fn begin(source: Source, failures: Failures, wait: Duration) -> Result<Self, StreamError> {
        let mut body = Self::new(source, failures);
        let due = after(body.sent, wait);
        std::future::poll_fn(|context| body.poll_begun(due, context)).await?;
        body.sent = Instant::now();
        Ok(body)
    }

    fn poll_begun(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match self.source.poll_next(self.watch.as_ref(), context) {
            Poll::Ready(Some(Ok(first))) => {
                self.first = Some(first);
                // An answer that is whole already needs no more than one piece.
                if self.source.poll_finished(self.watch.as_ref(), context) {
                    self.stage = Stage::Over;
                    self.source.take_last().into_iter().for_each(|last| self.last(last));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(None) => {
                self.stage = Stage::Over;
                self.first = self.source.take_last();
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.timer.poll(due, context).map(Ok),
        }
    }

    /// Sets after how long a silence a comment is sent, where that is events; zero: never.
    pub(crate) fn keep_alive(&mut self, interval: Duration) {
        if matches!(self.failures, Failures::Event(_)) {
            self.keep_alive = KeepAlive::after(interval);
        }
    }

    /// Sets what follows the last chunk once the handler has finished.
    pub(crate) fn last(&mut self, last: Bytes) {
        match &mut self.first {
            _ if matches!(self.stage, Stage::Streaming) => self.source.last(last),
            Some(first) => *first = [&**first, &*last].concat().into(),
            None => self.first = Some(last),
        }
    }

    pub(crate) fn request_id(&self) -> String {
        self.source.request_id()
    }

    /// Items of the stream so far.
    pub(super) fn items(&self) -> Tally {
        self.source.items()
    }

    /// How it ended, or ends if it is dropped now.
    pub(super) fn outcome(&self) -> Outcome {
        match self.failed {
            Some(failed) => failed,
            None if self.is_end_stream() => Outcome::Finished,
            None => Outcome::Cancelled(self.source.cancel_reason().unwrap_or(Reason::Client)),
        }
    }

    /// What tells the client of `error`, if anything does.
    fn fail(&mut self, error: StreamError) -> Option<Bytes> {
        let watch = self.watch.get_or_insert_default();
        let event = match self.failures {
            Failures::Event(api) => {
                let failure = HttpError::from(error.clone()).with_request_id(self.source.request_id());
                Some(watch.piece([b"event: error\ndata: ", &*api.error_body(&failure), b"\n\n"].concat()))
            }
            Failures::End => None,
        };
        watch.close();
        self.failed = Some(Outcome::from(&error));
        self.stage = Stage::Failed(error, after(Instant::now(), PATIENCE));
        event
    }

    /// Ready when the server has written what was watched, or has had the time for it.
    fn poll_written(&mut self, patience: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.watch.as_mut().is_none_or(|watch| watch.poll_released(context).is_ready()) {
            return Poll::Ready(());
        }
        self.timer.poll(patience, context)
    }

    fn poll_streaming(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.source.poll_next(self.watch.as_ref(), context),
        };
        let Poll::Ready(next) = next else {
            return self.keep_alive.poll(&mut self.sent, &mut self.timer, context).map(Some);
        };
        if let Some((_, last)) = self.source.items().times {
            self.sent = last;
        }
        Poll::Ready(match next {
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(error)) => self.fail(error),
            None => {
                self.stage = Stage::Over;
                self.source.take_last()
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
                Stage::Failed(error, patience) => {
                    if self.poll_written(patience, context).is_pending() {
                        self.stage = Stage::Failed(error, patience);
                    } else {
                        self.stage = Stage::Breaking(error);
                        context.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                Stage::Breaking(error) => return Poll::Ready(Some(Err(Interrupted(error)))),
                Stage::Over => return Poll::Ready(self.first.take().map(|first| Ok(Frame::data(first)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Over) && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if matches!(self.stage, Stage::Over) {
            SizeHint::with_exact(self.first.as_ref().map_or(0, Bytes::len) as u64)
        } else {
            let mut at_least = SizeHint::new();
            at_least.set_lower(self.first.as_ref().map_or(0, Bytes::len) as u64);
            at_least
        }
    }
}
