//! The tasks of HTTP/2 requests, which end when a client takes nothing of its answer.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::answer::{Timer, after};

tokio::task_local! {
    /// Since when the piece of this stream that was given last waits for its client; `None`: none does.
    static WAITS: Cell<Option<Instant>>;
}

/// Runs the requests of HTTP/2 connections as tasks. A client that gives a stream no room for `write_timeout` loses it; the
/// others of its connection go on.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    write_timeout: Duration,
}

impl Streams {
    pub(super) fn new(write_timeout: Duration) -> Self {
        Self { write_timeout }
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let write_timeout = self.write_timeout;
        tokio::spawn(WAITS.scope(Cell::default(), async move {
            let mut stream = pin!(stream);
            let mut timer = Timer::default();
            poll_fn(|context| {
                if stream.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                match WAITS.with(Cell::get) {
                    Some(since) => timer.poll(after(since, write_timeout), context),
                    None => Poll::Pending,
                }
            })
            .await;
        }));
    }
}

/// The body of this task's answer has given a piece: hyper asks for the next one when there is room for this one.
pub(super) fn piece_waits() {
    let _ = WAITS.try_with(|waits| waits.set(Some(Instant::now())));
}

/// The body of this task's answer is asked for a piece.
pub(super) fn piece_asked() {
    let _ = WAITS.try_with(|waits| waits.set(None));
}
