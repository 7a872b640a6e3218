//! Keep-alive of streams of events: a comment after each interval in which nothing was sent.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answer_timer::{Timer, after};

/// A comment, which readers of events skip. No empty line follows: some would take that for an event without data.
const COMMENT: Bytes = Bytes::from_static(b": ka\n");

/// How long a stream of events may be silent; by default for ever.
#[derive(Debug, Default)]
pub(super) struct KeepAlive(Option<Duration>);

impl KeepAlive {
    /// Zero: for ever.
    pub(super) fn after(interval: Duration) -> Self {
        Self((!interval.is_zero()).then_some(interval))
    }

    /// The comment that a stream needs which has been silent since `sent`, when it is due.
    pub(super) fn poll(&self, sent: &mut Instant, timer: &mut Timer, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some(interval) = self.0 else { return Poll::Pending };
        ready!(timer.poll(after(*sent, interval), context));
        *sent = Instant::now();
        Poll::Ready(COMMENT)
    }
}
