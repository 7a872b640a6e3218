//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::progress::Live;
use super::streams::{piece_asked, piece_waits};
use crate::answer::{AnswerBody, Interrupted};

/// The body of an answer; its request is live until it is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    body: AnswerBody,
    _live: Live,
}

impl Sent {
    pub(super) fn new(body: AnswerBody, live: Live) -> Self {
        Self { body, _live: live }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        piece_asked();
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(_)) = frame {
            piece_waits();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
