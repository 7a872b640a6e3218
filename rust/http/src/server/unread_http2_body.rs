//! The rest of an HTTP/2 request's body that its answer does not need.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::answer::{Timer, after};

/// How long the end of a body is waited for. Some clients send no more once they have the head of an answer, and wait for its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The rest of a body, which is read and thrown away before its answer ends. hyper resets a stream whose answer has ended before
/// its request, as RFC 9113 has it, and clients that send at that moment lose the answer, as old versions of curl do.
#[derive(Debug)]
pub(super) struct Leftover {
    body: Incoming,
    due: Instant,
    timer: Timer,
}

impl Leftover {
    /// The rest of this body; `None`: there is none.
    pub(super) fn of(body: Incoming) -> Option<Box<Self>> {
        let due = || after(Instant::now(), PATIENCE);
        (!body.is_end_stream()).then(|| Box::new(Self { body, due: due(), timer: Timer::default() }))
    }

    /// Ready once the body has ended, or the time for it is over.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The time is looked at first: what is read may never end.
        if self.timer.poll(self.due, context).is_ready() {
            return Poll::Ready(());
        }
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if !matches!(frame, Some(Ok(_))) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
