//! The body of every kind of answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body::{ChunkBody, Interrupted};

/// The body of an answer of [`Protocol`](crate::Protocol), for any server that takes an [`http_body::Body`]: a stream
/// ([`ChunkBody`]) or one piece.
///
/// Its length is known where it is all there when the head goes ([`Body::size_hint`]). After a failure it ends with
/// [`Interrupted`], and the server breaks the message off. Dropping it cancels the handler with the reason `client`.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Chunks(Box<ChunkBody>),
    Whole(Bytes),
}

impl From<ChunkBody> for AnswerBody {
    fn from(body: ChunkBody) -> Self {
        Self(Kind::Chunks(Box::new(body)))
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match &mut self.0 {
            Kind::Chunks(body) => Pin::new(&mut **body).poll_frame(context),
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Chunks(body) => body.is_end_stream(),
            Kind::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Chunks(body) => body.size_hint(),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
