//! Streams as Rust consumers see them: frames, and values decoded from frames.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use pybridge_pool::Batch;
use serde::de::DeserializeOwned;

use super::core::StreamCore;
use super::cursor::Cursor;
use super::ending::{Ending, Reason};
use super::error::StreamError;
use super::queue::weight;
use crate::codec;
use crate::frame::Frame;

/// The frames of one call, in the order they were yielded. Dropping it cancels the handler.
///
/// It ends with `None` only when the handler finished; every other ending is one `Err`.
#[derive(Debug)]
pub struct FrameStream {
    core: Arc<StreamCore>,
    cursor: Cursor,
    done: bool,
}

impl FrameStream {
    pub(crate) fn new(core: Arc<StreamCore>) -> Self {
        Self { core, cursor: Cursor::default(), done: false }
    }

    /// Name of the request in logs and in the handler's `Context`.
    pub fn request_id(&self) -> String {
        self.core.request_id()
    }

    /// Asks the handler to stop; items already queued still come, then [`StreamError::Cancelled`].
    pub fn cancel(&self, reason: Reason) {
        self.core.cancel(reason);
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame, StreamError>>> {
        loop {
            if let Some(range) = self.cursor.advance() {
                let bytes = self.cursor.share(range);
                if self.cursor.is_empty() || self.core.queue.is_paused() {
                    self.core.settle(self.cursor.settle());
                }
                return Poll::Ready(Some(Ok(Frame::new(bytes))));
            }
            match std::task::ready!(self.poll_next_batch(context)) {
                Some(Ok(batch)) => self.cursor.load(batch),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn poll_next_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, StreamError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if !self.cursor.is_clear() {
            if self.cursor.advance_to_end().is_some() {
                self.core.settle(self.cursor.settle());
            }
            self.cursor.clear();
        }
        match std::task::ready!(self.core.queue.poll(Some(context.waker()))) {
            Ok(batch) => Poll::Ready(Some(Ok(batch))),
            Err(ending) => {
                self.done = true;
                Poll::Ready(match ending {
                    Ending::Finished => None,
                    Ending::Raised(failure) => Some(Err(StreamError::Failed(failure))),
                    Ending::Cancelled(cancellation) => Some(Err(StreamError::Cancelled(cancellation.reason))),
                })
            }
        }
    }

    /// The next batch of frames as it crossed; frames of one that was begun by [`Stream::poll_next`] are skipped.
    ///
    /// Suspends until there is one. `None`: the handler finished.
    pub async fn next_batch(&mut self) -> Option<Result<Batch, StreamError>> {
        let batch = std::future::poll_fn(|context| self.poll_next_batch(context)).await;
        if let Some(Ok(batch)) = &batch {
            self.core.settle((weight(batch), batch.frames()));
        }
        batch
    }
}

impl Stream for FrameStream {
    type Item = Result<Frame, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_frame(context)
    }
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        if !self.done {
            self.core.abandon(Reason::Caller);
        }
    }
}

/// The values of one call, decoded on the consumer's thread, without the interpreter. Dropping it cancels the handler.
#[derive(Debug)]
pub struct ItemStream<T> {
    frames: FrameStream,
    format: codec::Format,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> ItemStream<T> {
    pub(crate) fn new(frames: FrameStream, format: codec::Format) -> Self {
        Self { frames, format, item: PhantomData }
    }

    /// Asks the handler to stop; items already queued still come, then [`StreamError::Cancelled`].
    pub fn cancel(&self, reason: Reason) {
        self.frames.cancel(reason);
    }
}

impl<T: DeserializeOwned> Stream for ItemStream<T> {
    type Item = Result<T, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let format = self.format;
        let frame = std::task::ready!(self.frames.poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            let limits = &self.frames.core.engine.limits;
            codec::from_frame(format, limits, &frame).map_err(|error| StreamError::Response(error.to_string()))
        }))
    }
}
