//! The body of every kind of answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::chunk_body::{ChunkBody, Interrupted};
use crate::observe::{Outcome, Record, Tally};

/// The body of an answer of [`Protocol`](crate::Protocol), for any server that takes an [`http_body::Body`]: a stream
/// ([`ChunkBody`]) or one piece.
///
/// Its length is known where it is all there when the head goes ([`Body::size_hint`]). After a failure it ends with
/// [`Interrupted`], and the server breaks the message off. Dropping it cancels the handler with the reason `client`.
#[derive(Debug)]
pub struct AnswerBody {
    kind: Kind,
    record: Option<Box<Record>>,
}

#[derive(Debug)]
enum Kind {
    Chunks(Box<ChunkBody>),
    Whole { bytes: Bytes, items: Tally, outcome: Outcome },
}

impl From<ChunkBody> for AnswerBody {
    fn from(body: ChunkBody) -> Self {
        Self { kind: Kind::Chunks(Box::new(body)), record: None }
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes, Tally::default())
    }
}

impl AnswerBody {
    /// One that holds all items.
    pub(crate) fn whole(bytes: Bytes, items: Tally) -> Self {
        Self { kind: Kind::Whole { bytes, items, outcome: Outcome::Finished }, record: None }
    }

    /// One that tells of a failure.
    pub(crate) fn failure(bytes: Bytes, outcome: Outcome) -> Self {
        Self { kind: Kind::Whole { bytes, items: Tally::default(), outcome }, record: None }
    }

    fn outcome(&self) -> Outcome {
        match &self.kind {
            Kind::Chunks(body) => body.outcome(),
            Kind::Whole { outcome, .. } => *outcome,
        }
    }
}

impl Kind {
    fn items(&self) -> Tally {
        match self {
            Self::Chunks(body) => body.items(),
            Self::Whole { items, .. } => *items,
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match self {
            Self::Chunks(body) => Pin::new(&mut **body).poll_frame(context),
            Self::Whole { bytes, .. } if bytes.is_empty() => Poll::Ready(None),
            Self::Whole { bytes, .. } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let Self { kind, record } = &mut *self;
        let frame = kind.poll_frame(context);
        if let (Some(record), Poll::Ready(Some(Ok(frame)))) = (record, &frame) {
            record.note(frame.data_ref().map_or(0, Bytes::len), kind.items());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Chunks(body) => body.is_end_stream(),
            Kind::Whole { bytes, .. } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Chunks(body) => body.size_hint(),
            Kind::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl Record {
    /// The answer to the request; the record ends with its body.
    #[must_use]
    pub fn answer(mut self, mut response: Response<AnswerBody>) -> Response<AnswerBody> {
        self.note_head(&response);
        response.body_mut().record = Some(Box::new(self));
        response
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.end(self.outcome());
        }
    }
}
