//! Answers that are put together before their head goes.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use pybridge::{ChunkStream, Failure, FailureKind, StreamError};

use crate::openai::Merger;

/// Longest answer that is put together in memory. Above it lie downloads, which are to be streamed.
const MAX_BYTES: usize = 256 << 20;

/// The items of a stream of JSON lines as one JSON array.
///
/// # Errors
/// What the stream ends with; the array is too long.
pub(crate) async fn array(mut chunks: ChunkStream) -> Result<Bytes, StreamError> {
    let mut array = BytesMut::from(&b"["[..]);
    while let Some(chunk) = next(&mut chunks).await {
        let (start, chunk) = (array.len(), chunk?);
        check(&chunks, start + chunk.len())?;
        array.extend_from_slice(&chunk);
        // JSON in one line has no other line ends.
        array[start..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
    }
    match array.last_mut() {
        Some(last) if *last == b',' => *last = b']',
        _ => array.extend_from_slice(b"]"),
    }
    Ok(array.freeze())
}

/// The one item of a stream of JSON lines, in the memory that it came in.
///
/// # Errors
/// What the stream ends with; there is another number of items.
pub(crate) async fn value(mut chunks: ChunkStream) -> Result<Bytes, StreamError> {
    let mut line = next(&mut chunks).await.unwrap_or_else(|| Err(chunks.fail(internal("the handler gave no item"))))?;
    check(&chunks, line.len())?;
    line.truncate(line.len().saturating_sub(1));
    match next(&mut chunks).await {
        None => Ok(line),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => Err(chunks.fail(internal("the handler gave more than one item"))),
    }
}

/// The items of a stream without framing as one answer of `OpenAI`'s interface.
///
/// # Errors
/// What the stream ends with; the items are no answer, or too long a one.
pub(crate) async fn merged(mut chunks: ChunkStream, mut merger: Merger) -> Result<Bytes, StreamError> {
    while let Some(batch) = std::future::poll_fn(|context| chunks.poll_batch(context)).await {
        let batch = batch?;
        for range in (0..batch.frames()).map_while(|index| batch.range(index)) {
            merger.add(&batch.bytes()[range]).map_err(|error| chunks.fail(error))?;
        }
    }
    merger.finish().map(Bytes::from).map_err(|error| chunks.fail(error))
}

async fn next(chunks: &mut ChunkStream) -> Option<Result<Bytes, StreamError>> {
    std::future::poll_fn(|context| Pin::new(&mut *chunks).poll_next(context)).await
}

/// Refuses an answer that has grown too long, and stops its handler.
fn check(chunks: &ChunkStream, len: usize) -> Result<(), StreamError> {
    if len > MAX_BYTES {
        return Err(chunks.fail(internal("the answer is too long to be sent in one piece: ask for a stream")));
    }
    Ok(())
}

fn internal(message: &str) -> StreamError {
    StreamError::Failed(Box::new(Failure::new(FailureKind::Internal, "LimitExceeded", message)))
}
