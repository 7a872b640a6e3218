//! The pieces of an answer as they go to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use pybridge::{Batch, ChunkStream, Reason, StreamError};

use super::released_pieces::Watch;
use crate::observe::Tally;
use crate::openai::{Events, Written};

/// What comes next; `None`: the handler finished.
type Next = Option<Result<Bytes, StreamError>>;

/// Events that left together are sent in pieces of about so many bytes at most.
const GATHERED_BYTES: usize = 256 << 10;

/// A stream that gives the pieces of an answer, and what follows the last of them.
#[derive(Debug)]
pub(crate) struct Source {
    chunks: ChunkStream,
    /// Chunks gather over an interval, and come in one piece.
    is_gathered: bool,
    writing: Writing,
    /// What was seen to come next.
    peeked: Option<Next>,
    items: Tally,
}

/// What becomes of chunks.
#[derive(Debug)]
enum Writing {
    /// They are pieces, which this follows once the handler has finished.
    Asis(Option<Bytes>),
    /// Their items are written into the events of `OpenAI`'s interface.
    Events(Box<Events>),
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
        Self::writing(chunks, flush_interval, Writing::Asis(None))
    }

    /// The events that are made of chunks of server-sent events.
    pub(crate) fn events(chunks: ChunkStream, flush_interval: Duration, events: Events) -> Self {
        Self::writing(chunks, flush_interval, Writing::Events(Box::new(events)))
    }

    fn writing(chunks: ChunkStream, flush_interval: Duration, writing: Writing) -> Self {
        let is_gathered = !flush_interval.is_zero();
        let chunks = if is_gathered { chunks.flush_interval(flush_interval) } else { chunks.count_until_next() };
        Self { chunks, is_gathered, writing, peeked: None, items: Tally::default() }
    }

    /// Sets what follows the last chunk once the handler has finished.
    pub(crate) fn last(&mut self, last: Bytes) {
        self.writing = Writing::Asis(Some(last));
    }

    pub(crate) fn request_id(&self) -> String {
        self.chunks.request_id()
    }

    /// Items of the pieces that it has given.
    pub(super) fn items(&self) -> Tally {
        self.items
    }

    /// Why the handler was asked to stop, if it was.
    pub(super) fn cancel_reason(&self) -> Option<Reason> {
        self.chunks.cancel_reason()
    }

    /// The next piece, in memory whose end `watch` knows if there is one.
    pub(super) fn poll_next(&mut self, watch: Option<&Watch>, context: &mut Context<'_>) -> Poll<Next> {
        let next = match self.peeked.take() {
            Some(next) => next,
            None => ready!(self.poll_piece(watch, context)),
        };
        self.items.note(self.chunks.items());
        Poll::Ready(next)
    }

    /// True if the handler is known to have finished, so that nothing but [`Self::take_last`] follows.
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
        match std::mem::replace(&mut self.writing, Writing::Asis(None)) {
            Writing::Asis(last) => last,
            Writing::Events(mut events) => Some(events.finish()),
        }
    }

    fn poll_piece(&mut self, watch: Option<&Watch>, context: &mut Context<'_>) -> Poll<Next> {
        if let Writing::Events(_) = self.writing {
            return self.poll_events(context);
        }
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

    /// The events of the next batch that has any, or of all that leave together.
    fn poll_events(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let mut piece = Piece::default();
        while piece.is_empty() || self.is_gathered && piece.len() < GATHERED_BYTES {
            let next = match self.chunks.poll_batch(context) {
                Poll::Ready(Some(Ok(batch))) => match self.write(batch, &mut piece) {
                    Ok(()) => continue,
                    Err(error) => Some(Err(error)),
                },
                Poll::Ready(Some(Err(error))) => Some(Err(error)),
                Poll::Ready(None) => None,
                Poll::Pending if piece.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            };
            if piece.is_empty() {
                return Poll::Ready(next);
            }
            self.peeked = Some(next);
            break;
        }
        Poll::Ready(Some(Ok(piece.into())))
    }

    /// Adds the events of a batch.
    ///
    /// # Errors
    /// An item that cannot be one, which ends the stream.
    fn write(&mut self, mut batch: Batch, piece: &mut Piece) -> Result<(), StreamError> {
        let Writing::Events(events) = &mut self.writing else { return Ok(()) };
        let Written { bytes, failure } = events.write(&mut batch);
        piece.push(bytes);
        match failure {
            None => Ok(()),
            Some(failure) => Err(self.chunks.fail(failure)),
        }
    }
}

fn watched(bytes: Bytes, watch: Option<&Watch>) -> Bytes {
    match watch {
        Some(watch) => watch.piece(bytes),
        None => bytes,
    }
}

/// Bytes that are copied only where there is more than one part.
#[derive(Debug, Default)]
struct Piece {
    first: Bytes,
    joined: Vec<u8>,
}

impl Piece {
    fn len(&self) -> usize {
        self.first.len().max(self.joined.len())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.first = bytes;
        } else if !bytes.is_empty() {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&self.first);
            }
            self.joined.extend_from_slice(&bytes);
        }
    }
}

impl From<Piece> for Bytes {
    fn from(piece: Piece) -> Self {
        if piece.joined.is_empty() { piece.first } else { piece.joined.into() }
    }
}
