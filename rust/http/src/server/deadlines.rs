//! The deadlines of a connection, on one timer.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::connection_progress::{Progress, Waiting};
use super::server_options::ServerOptions;
use crate::answer::{Timer, after};

/// How long a connection that nothing is sent on any more is read, so that its last answer arrives before the reset.
const LINGER: Duration = Duration::from_secs(2);

/// How long a server that closes waits for clients that have to act next.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// The deadlines of one connection. The timer is moved only when it has to fire earlier.
pub(super) struct Deadlines<'a> {
    progress: &'a Progress,
    options: &'a ServerOptions,
    timer: Timer,
    /// When to look again while nothing is due. Requests of HTTP/2 end elsewhere, unseen; what is due then is later than this.
    again: Instant,
    /// When the server began to close.
    closing: Option<Instant>,
}

impl<'a> Deadlines<'a> {
    pub(super) fn new(progress: &'a Progress, options: &'a ServerOptions) -> Self {
        let again = after(Instant::now(), options.idle_timeout);
        Self { progress, options, timer: Timer::default(), again, closing: None }
    }

    /// The server closes from now on.
    pub(super) fn close(&mut self) {
        self.closing = Some(Instant::now());
    }

    /// True once the server closes: it is not for the client's sake that it waits no longer.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Ready when the client has let a deadline pass.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(due) = self.due() {
                return self.timer.poll(due, context);
            }
            ready!(self.timer.poll(self.again, context));
            self.again = after(Instant::now(), self.options.idle_timeout);
        }
    }

    fn due(&self) -> Option<Instant> {
        let waiting = self.progress.waiting().map(|waiting| match waiting {
            Waiting::Head(since) => after(since, self.options.header_timeout),
            Waiting::Request(since) => after(since, self.options.idle_timeout),
            Waiting::End(since) => after(since, LINGER),
        });
        if let Some(since) = self.progress.stalled() {
            let stalled = after(since, self.options.write_timeout);
            return Some(waiting.map_or(stalled, |waiting| waiting.min(stalled)));
        }
        let closed = self.closing.filter(|_| !self.progress.is_live()).map(|since| after(since, CLOSE_WITHIN));
        waiting.map(|waiting| closed.map_or(waiting, |closed| waiting.min(closed)))
    }
}
