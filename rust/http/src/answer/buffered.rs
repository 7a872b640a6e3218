//! Answers that are put together before their head goes.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use pybridge::{ChunkStream, Failure, FailureKind, Reason, StreamError};

/// Longest answer that is put together in memory. Above it lie downloads, which are to be streamed.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// The items of a stream of JSON lines as one JSON array.
///
/// # Errors
/// What the stream ends with; the array is over [`MAX_BYTES`].
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
    let mut line = next(&mut chunks).await.unwrap_or_else(|| Err(internal("the handler gave no item")))?;
    check(&chunks, line.len())?;
    line.truncate(line.len() - 1);
    match next(&mut chunks).await {
        None => Ok(line),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => Err(internal("the handler gave more than one item")),
    }
}

async fn next(chunks: &mut ChunkStream) -> Option<Result<Bytes, StreamError>> {
    std::future::poll_fn(|context| Pin::new(&mut *chunks).poll_next(context)).await
}

/// Refuses an answer that has grown too long, and stops its handler.
pub(crate) fn check(chunks: &ChunkStream, len: usize) -> Result<(), StreamError> {
    if len > MAX_BYTES {
        chunks.cancel(Reason::Caller);
        return Err(internal("the answer is too long to be sent in one piece: ask for a stream"));
    }
    Ok(())
}

fn internal(message: &str) -> StreamError {
    StreamError::Failed(Box::new(Failure::new(FailureKind::Internal, "LimitExceeded", message)))
}
