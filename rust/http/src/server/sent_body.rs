//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection_progress::Live;
use super::http2_tasks::{piece_asked, piece_waits};
use super::unread_http2_body::Leftover;
use crate::answer::{AnswerBody, Interrupted};

/// Most bytes of a piece over HTTP/2. hyper asks for the next one when there is room, so a client that takes little of a long
/// piece would look like one that takes nothing.
const PIECE_BYTES: usize = 64 << 10;

/// The body of an answer; its request is live until it is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    body: AnswerBody,
    /// What is left of a piece that was cut.
    rest: Bytes,
    /// Most bytes of a piece.
    most: usize,
    /// What is read of the request before the answer ends.
    leftover: Option<Box<Leftover>>,
    _live: Live,
}

impl Sent {
    /// Over HTTP/1.1.
    pub(super) fn new(body: AnswerBody, live: Live) -> Self {
        Self { body, rest: Bytes::new(), most: usize::MAX, leftover: None, _live: live }
    }

    /// Over HTTP/2; `leftover`: what is read of the request before the answer ends.
    pub(super) fn stream(body: AnswerBody, leftover: Option<Box<Leftover>>, live: Live) -> Self {
        Self { most: PIECE_BYTES, leftover, ..Self::new(body, live) }
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
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                None => {
                    if let Some(leftover) = &mut self.leftover {
                        ready!(leftover.poll(context));
                    }
                    return Poll::Ready(None);
                }
                failed => return Poll::Ready(failed),
            };
            match frame.into_data() {
                Ok(piece) => self.rest = piece,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let length = self.rest.len().min(self.most);
        let piece = self.rest.split_to(length);
        piece_waits();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.leftover.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
