//! The pieces of an answer as they go to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use pybridge::{Batch, ChunkStream, StreamError};

use super::watch::Watch;

/// What comes next; `None`: the handler finished.
type Next = Option<Result<Bytes, StreamError>>;

/// A stream that gives the pieces of an answer, and what follows the last of them.
#[derive(Debug)]
pub(crate) struct Source {
    chunks: ChunkStream,
    /// Chunks gather over an interval, and come in one piece.
    is_gathered: bool,
    peeked: Option<Next>,
    last: Option<Bytes>,
}

/// A batch as the memory that it is.
struct Frames(Batch);

impl AsRef<[u8]> for Frames {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Source {
    /// The chunks as they are, at most one each `flush_interval`.
    pub(crate) fn new(chunks: ChunkStream, flush_interval: Duration) -> Self {
        let chunks = if flush_interval.is_zero() { chunks } else { chunks.flush_interval(flush_interval) };
        Self { chunks, is_gathered: !flush_interval.is_zero(), peeked: None, last: None }
    }

    /// What follows the last chunk once the handler has finished.
    pub(crate) fn last(&mut self, last: Bytes) {
        self.last = Some(last);
    }

    pub(crate) fn request_id(&self) -> String {
        self.chunks.request_id()
    }

    /// The next piece, in memory whose end `watch` knows if there is one.
    pub(super) fn poll_next(&mut self, watch: Option<&Watch>, context: &mut Context<'_>) -> Poll<Next> {
        match self.peeked.take() {
            Some(next) => Poll::Ready(next),
            None => self.poll_piece(watch, context),
        }
    }

    /// Looks whether the handler has finished, so that nothing but [`Self::take_last`] follows.
    pub(super) fn poll_finished(&mut self, watch: Option<&Watch>, context: &mut Context<'_>) -> bool {
        if self.peeked.is_none()
            && let Poll::Ready(next) = self.poll_piece(watch, context)
        {
            self.peeked = Some(next);
        }
        matches!(self.peeked, Some(None))
    }

    /// What follows the last piece, once.
    pub(super) fn take_last(&mut self) -> Option<Bytes> {
        self.last.take()
    }

    fn poll_piece(&mut self, watch: Option<&Watch>, context: &mut Context<'_>) -> Poll<Next> {
        if self.is_gathered {
            let chunk = ready!(Pin::new(&mut self.chunks).poll_next(context));
            return Poll::Ready(chunk.map(|chunk| chunk.map(|chunk| watched(chunk, watch))));
        }
        let batch = ready!(self.chunks.poll_batch(context));
        Poll::Ready(batch.map(|batch| {
            let mut batch = batch?;
            Ok(match watch {
                Some(watch) => watch.piece(Frames(batch)),
                None => batch.slice(0..batch.bytes().len()),
            })
        }))
    }
}

fn watched(bytes: Bytes, watch: Option<&Watch>) -> Bytes {
    match watch {
        Some(watch) => watch.piece(bytes),
        None => bytes,
    }
}
