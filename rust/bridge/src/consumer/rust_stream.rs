//! Streams as Rust consumers see them: frames, chunks, and values decoded from frames.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use futures_util::StreamExt;
use pybridge_pool::Batch;
use serde::de::DeserializeOwned;

use super::batch_cursor::BatchCursor;
use super::canceller::{Canceller, set_drop_reason};
use super::flush_interval::{FlushInterval, join};
use super::frame::Frame;
use super::stream_error::StreamError;
use crate::codec;
use crate::error::Reason;
use crate::state::{Command, Ending, StreamState, charged_bytes, report};

/// The reading end of one call: its batches, then its ending, once. Dropping it cancels the handler.
#[derive(Debug)]
struct Consumer {
    stream: Arc<StreamState>,
    done: bool,
}

impl Consumer {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, StreamError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        match ready!(self.stream.queue.poll(Some(context.waker()))) {
            Ok(batch) => Poll::Ready(Some(Ok(batch))),
            Err(ending) => Poll::Ready(self.end(ending)),
        }
    }

    fn end(&mut self, ending: Ending) -> Option<Result<Batch, StreamError>> {
        self.done = true;
        match ending {
            Ending::Finished => None,
            Ending::Raised(failure) => Some(Err(StreamError::Failed(failure))),
            Ending::Cancelled(cancellation) => Some(Err(StreamError::Cancelled(cancellation.reason))),
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if !self.done {
            let reason = Reason::from_code(self.stream.drop_reason.load(Ordering::Acquire));
            self.stream.abandon(reason.unwrap_or(Reason::Caller));
        }
    }
}

/// What every kind of stream offers beside its items.
macro_rules! controls {
    ($stream:ident $(<$item:ident>)?, $($consumer:ident).+) => {
        impl $(<$item>)? $stream $(<$item>)? {
            /// Name of the request in logs and in the handler's `Context`.
            pub fn request_id(&self) -> String {
                self.$($consumer).+.stream.request_id()
            }

            /// Asks the handler to stop; items already queued still come, then [`StreamError::Cancelled`]. The first
            /// reason stands.
            pub fn cancel(&self, reason: Reason) {
                self.$($consumer).+.stream.cancel(reason);
            }

            /// Why the handler was asked to stop; `None`: it was not.
            pub fn cancel_reason(&self) -> Option<Reason> {
                self.$($consumer).+.stream.cancel_reason()
            }

            /// What stops the call from elsewhere.
            pub fn canceller(&self) -> Canceller {
                Canceller::of(&self.$($consumer).+.stream)
            }

            /// Sets the reason that dropping the stream gives. It is [`Reason::Caller`] unless set; servers, whose answer
            /// is dropped when the peer goes, say [`Reason::Client`].
            #[must_use]
            pub fn on_drop(self, reason: Reason) -> Self {
                set_drop_reason(&self.$($consumer).+.stream, reason);
                self
            }
        }

        impl $(<$item: DeserializeOwned>)? FusedStream for $stream $(<$item>)? {
            fn is_terminated(&self) -> bool {
                self.$($consumer).+.done
            }
        }
    };
}

controls!(FrameStream, consumer);
controls!(ChunkStream, consumer);
controls!(ItemStream<T>, frames.consumer);

/// The frames of one call, in the order they were yielded. Dropping it cancels the handler.
///
/// It ends with `None` only when the handler finished; every other ending is one `Err`, and `None` after it.
#[derive(Debug)]
pub struct FrameStream {
    consumer: Consumer,
    cursor: BatchCursor,
}

impl FrameStream {
    pub(crate) fn new(stream: Arc<StreamState>) -> Self {
        Self { consumer: Consumer { stream, done: false }, cursor: BatchCursor::default() }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame, StreamError>>> {
        loop {
            if let Some(range) = self.cursor.advance() {
                let bytes = self.cursor.share(range);
                if self.cursor.is_empty() || self.consumer.stream.queue.credit.is_paused() {
                    self.consumer.stream.return_credit(self.cursor.take_due_credit());
                }
                return Poll::Ready(Some(Ok(Frame::new(bytes))));
            }
            match ready!(self.poll_next_batch(context)) {
                Some(Ok(batch)) => self.cursor.load(batch),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn poll_next_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, StreamError>>> {
        if !self.cursor.is_clear() {
            if self.cursor.advance_to_end().is_some() {
                self.consumer.stream.return_credit(self.cursor.take_due_credit());
            }
            self.cursor.clear();
        }
        self.consumer.poll_batch(context)
    }

    /// The next batch of frames as it crossed; frames of one that was begun by [`Stream::poll_next`] are skipped.
    ///
    /// Suspends until there is one. `None`: the handler finished. It is for those who look at frames where they lie: no frame
    /// gets a handle of its own, which saves 10 to 20 ns of the 75 to 85 ns of CPU that a small item costs its consumer, and
    /// a batch one allocation.
    ///
    /// ```no_run
    /// # async fn answer(mut frames: pybridge::FrameStream) -> Result<(), pybridge::StreamError> {
    /// while let Some(batch) = frames.next_batch().await {
    ///     let batch = batch?;
    ///     for range in (0..batch.frames()).filter_map(|index| batch.range(index)) {
    ///         println!("an item of {} bytes", batch.bytes()[range].len());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next_batch(&mut self) -> Option<Result<Batch, StreamError>> {
        let batch = std::future::poll_fn(|context| self.poll_next_batch(context)).await;
        if let Some(Ok(batch)) = &batch {
            self.consumer.stream.return_credit((charged_bytes(batch), batch.frames()));
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

/// What one call yields, framed and ready for a socket. Dropping it cancels the handler.
///
/// A chunk holds whole items, all that crossed together: about one turn of the handler's loop. It lies in the engine's
/// pool and is not copied. The endings are those of [`FrameStream`].
#[derive(Debug)]
pub struct ChunkStream {
    consumer: Consumer,
    /// `None`: each chunk leaves as it crosses.
    gather: Option<Box<FlushInterval>>,
    /// Of a chunk that leaves now, what [`Self::poll_batch`] has not given yet.
    leaving: VecDeque<Batch>,
    items: u64,
    /// Bytes and items of the last batch, if they count as in flight until the next one is asked for.
    last: Option<(usize, usize)>,
}

impl ChunkStream {
    pub(crate) fn new(stream: Arc<StreamState>) -> Self {
        Self {
            consumer: Consumer { stream, done: false },
            gather: None,
            leaving: VecDeque::new(),
            items: 0,
            last: None,
        }
    }

    /// Gives at most one chunk in each `interval`, in one piece, for proxies and distributed engines to which each piece is
    /// a message; zero: each as it crosses. Intervals are those of one clock, so that chunks of all streams leave together.
    ///
    /// The first chunk and the end leave at once, and so does a chunk once as much has gathered as may be in flight
    /// (`FlowConfig.high_water`). The handler does not wait for the interval.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.gather = FlushInterval::new(interval);
        self
    }

    /// Counts a chunk as in flight until the next one is asked for, for consumers that ask when they have room again: what
    /// waits in their buffers then counts towards `FlowConfig.high_water` as well. Not for chunks that gather over an interval.
    #[must_use]
    pub fn count_until_next(mut self) -> Self {
        self.last = Some((0, 0));
        self
    }

    /// Items of the chunks that it has given.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Stops the handler because what it yielded is of no use, and tells of `error` as of a failure of the handler's own: in the
    /// log, or to the host's `on_failure`. Gives it back, for the client.
    #[must_use]
    pub fn fail(&self, error: StreamError) -> StreamError {
        let stream = &self.consumer.stream;
        stream.cancel(Reason::Caller);
        if let Some(failure) = error.detail().cloned() {
            let told = Arc::clone(stream);
            drop(stream.worker.post(Command::run(move |py| report(py, &told, &failure))));
        }
        error
    }

    /// The next frames that leave together, framing included, each with its place: for those who look at frames where
    /// they lie. `Ready(None)`: the handler finished.
    ///
    /// A chunk that was gathered over an interval comes as the batches that crossed, one by one and without a wait between
    /// them.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, StreamError>>> {
        let batch = ready!(self.poll_next_batch(context));
        if let Some(Ok(batch)) = &batch {
            self.items += batch.frames() as u64;
        }
        Poll::Ready(batch)
    }

    fn poll_next_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, StreamError>>> {
        if let Some(batch) = self.leaving.pop_front() {
            return Poll::Ready(Some(Ok(batch)));
        }
        let Some(gather) = &mut self.gather else {
            if let Some(last) = &mut self.last {
                self.consumer.stream.return_credit(std::mem::take(last));
            }
            let batch = ready!(self.consumer.poll_batch(context));
            if let Some(Ok(batch)) = &batch {
                let given = (charged_bytes(batch), batch.frames());
                match &mut self.last {
                    Some(last) => *last = given,
                    None => self.consumer.stream.return_credit(given),
                }
            }
            return Poll::Ready(batch);
        };
        if self.consumer.done {
            return Poll::Ready(None);
        }
        match ready!(gather.poll(&self.consumer.stream, Some(context.waker()))) {
            Ok(batches) => {
                self.leaving = batches.into();
                Poll::Ready(self.leaving.pop_front().map(Ok))
            }
            Err(ending) => Poll::Ready(self.consumer.end(ending)),
        }
    }
}

impl Stream for ChunkStream {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batch = ready!(self.poll_batch(context));
        Poll::Ready(batch.map(|batch| {
            let mut batch = batch?;
            if self.leaving.is_empty() {
                return Ok(batch.slice(0..batch.bytes().len()));
            }
            self.items += self.leaving.iter().map(|batch| batch.frames() as u64).sum::<u64>();
            Ok(join(&batch, self.leaving.drain(..)))
        }))
    }
}

/// The values of one call, decoded on the consumer's thread, without the interpreter. Dropping it cancels the handler.
///
/// An item that is no `T` is a [`StreamError::Response`], after which the next one comes; the endings are those of
/// [`FrameStream`].
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

    /// The one item of a `unary` handler. Suspends until the handler has ended.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// use pybridge::{CallOptions, Reason};
    ///
    /// let sum = engine.generate::<_, u64>([1, 2, 3], CallOptions::default())?;
    /// let sum = sum.on_drop(Reason::Client).only().await?; // `Engine::call`, for a server
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the stream ends with. [`StreamError::Response`]: the handler gave no item, or more than one, or one that is no
    /// `T`.
    pub async fn only(mut self) -> Result<T, StreamError> {
        let item = self.next().await.ok_or_else(|| self.wrong_count("no item"))??;
        match self.next().await {
            None => Ok(item),
            Some(Err(error @ (StreamError::Failed(_) | StreamError::Cancelled(_)))) => Err(error),
            Some(Ok(_) | Err(_)) => Err(self.wrong_count("more than one item")),
        }
    }

    fn wrong_count(&self, gave: &str) -> StreamError {
        let engine = &self.frames.consumer.stream.engine.name;
        StreamError::response(format!("{engine} gave {gave} where call() takes one"))
    }
}

impl<T: DeserializeOwned> Stream for ItemStream<T> {
    type Item = Result<T, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let format = self.format;
        let frame = ready!(self.frames.poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            let limits = &self.frames.consumer.stream.engine.limits;
            codec::from_frame(format, limits, &frame).map_err(|error| StreamError::response(error.to_string()))
        }))
    }
}
