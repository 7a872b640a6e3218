//! The pace at which a client must send the body of a request.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::connection_progress::{OpenBody, Progress};
use crate::answer::{Timer, after};

/// How much of a body a client has to send within `body_timeout`, unless the body ends.
pub(super) const LEAST_BYTES: usize = 4 << 10;

/// Most bytes that are on their way before a body has any of them: a whole frame of HTTP/2, in two whole records of TLS.
const LONGEST_PIECE: usize = 32 << 10;

/// How often a body may be waited for in a row while what comes is not its own, or not whole.
const MAX_WAITS: usize = LONGEST_PIECE / LEAST_BYTES;

/// The pace of one body. HTTP hands on whole frames, and TLS whole records, so that a body may have nothing for long while its
/// bytes come all the time. A client keeps its pace as well if so much comes on its connection as all of its bodies have to
/// bring; that helps a body of which nothing comes for [`MAX_WAITS`] times.
#[derive(Debug)]
pub(super) struct Pace {
    body: OpenBody,
    wait: Duration,
    timer: Timer,
    /// `None`: nothing is waited for, or it was there at once. Bodies that are there need no clock.
    waiting: Option<Waiting>,
    waits: usize,
}

/// One time of waiting.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: Instant,
    /// What had come from the client when it began.
    before: u64,
}

impl Pace {
    /// `wait`: the time for each [`LEAST_BYTES`].
    pub(super) fn new(progress: &Arc<Progress>, wait: Duration) -> Self {
        Self { body: progress.read_body(), wait, timer: Timer::default(), waiting: None, waits: 0 }
    }

    /// The body has got [`LEAST_BYTES`] more.
    pub(super) fn goes_on(&mut self) {
        (self.waiting, self.waits) = (None, 0);
    }

    /// Ready once the client has lost its pace.
    pub(super) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let progress = self.body.progress();
            let begin = || Waiting { due: after(Instant::now(), self.wait), before: progress.received() };
            let Waiting { due, before } = *self.waiting.get_or_insert_with(begin);
            ready!(self.timer.poll(due, context));
            self.waits += 1;
            let least = (LEAST_BYTES * progress.bodies()) as u64;
            if self.waits == MAX_WAITS || progress.received() - before < least {
                return Poll::Ready(());
            }
            self.waiting = None;
        }
    }
}
