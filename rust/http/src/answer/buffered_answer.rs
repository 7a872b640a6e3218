//! Answers that are put together before their head goes.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use pybridge::{Batch, ChunkStream, Failure, FailureKind, StreamError};

use super::answer_body::AnswerBody;
use crate::observe::Tally;
use crate::openai::Merger;

/// Longest answer that is put together in memory. Above it lie downloads, which are to be streamed.
const MAX_BYTES: usize = 256 << 20;

/// The items of a stream of JSON lines as one JSON array.
///
/// # Errors
/// What the stream ends with; the array is too long.
pub(crate) async fn array(chunks: ChunkStream) -> Result<AnswerBody, StreamError> {
    let mut read = Read::of(chunks);
    let mut array = BytesMut::from(&b"["[..]);
    while let Some(chunk) = read.next().await {
        let (start, chunk) = (array.len(), chunk?);
        read.check(start + chunk.len())?;
        array.extend_from_slice(&chunk);
        // JSON in one line has no other line ends.
        array[start..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
    }
    match array.last_mut() {
        Some(last) if *last == b',' => *last = b']',
        _ => array.extend_from_slice(b"]"),
    }
    Ok(read.whole(array.freeze()))
}

/// The one item of a stream of JSON lines, in the memory that it came in.
///
/// # Errors
/// What the stream ends with; there is another number of items.
pub(crate) async fn value(chunks: ChunkStream) -> Result<AnswerBody, StreamError> {
    let mut read = Read::of(chunks);
    let mut line = read.next().await.unwrap_or_else(|| Err(read.fail("the handler gave no item")))?;
    read.check(line.len())?;
    line.truncate(line.len().saturating_sub(1));
    match read.next().await {
        None => Ok(read.whole(line)),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => Err(read.fail("the handler gave more than one item")),
    }
}

/// The items of a stream without framing as one answer of `OpenAI`'s interface.
///
/// # Errors
/// What the stream ends with; the items are no answer, or too long a one.
pub(crate) async fn merged(chunks: ChunkStream, mut merger: Merger) -> Result<AnswerBody, StreamError> {
    let mut read = Read::of(chunks);
    while let Some(batch) = read.next_batch().await {
        let batch = batch?;
        for range in (0..batch.frames()).map_while(|index| batch.range(index)) {
            merger.add(&batch.bytes()[range]).map_err(|error| read.chunks.fail(error))?;
        }
    }
    let answer = merger.finish().map_err(|error| read.chunks.fail(error))?;
    Ok(read.whole(answer.into()))
}

/// A stream that is read to its end.
struct Read {
    chunks: ChunkStream,
    items: Tally,
}

impl Read {
    fn of(chunks: ChunkStream) -> Self {
        Self { chunks, items: Tally::default() }
    }

    async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.chunks).poll_next(context)).await;
        self.items.note(self.chunks.items());
        next
    }

    async fn next_batch(&mut self) -> Option<Result<Batch, StreamError>> {
        let next = std::future::poll_fn(|context| self.chunks.poll_batch(context)).await;
        self.items.note(self.chunks.items());
        next
    }

    /// The answer that holds all that was read.
    fn whole(&self, bytes: Bytes) -> AnswerBody {
        AnswerBody::whole(bytes, self.items)
    }

    /// Refuses an answer that has grown too long, and stops its handler.
    fn check(&self, len: usize) -> Result<(), StreamError> {
        if len > MAX_BYTES {
            return Err(self.fail("the answer is too long to be sent in one piece: ask for a stream"));
        }
        Ok(())
    }

    /// Stops the handler because of what it gave.
    fn fail(&self, message: &str) -> StreamError {
        let failure = Failure::new(FailureKind::Internal, "LimitExceeded", message);
        self.chunks.fail(StreamError::Failed(Box::new(failure)))
    }
}
