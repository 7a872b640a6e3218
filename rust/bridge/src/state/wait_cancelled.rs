//! The wait for a stream's cancellation, which ends as well when the stream ends without one.

use std::task::{Poll, Waker};

use super::command::Command;
use super::stream_state::StreamState;
use crate::base::lock::lock;

impl StreamState {
    /// The stream ended without its driver: whoever waits for its cancellation learns that on the worker. Nobody is woken
    /// here, which may be the end of a Python object.
    pub(super) fn tell_cancel_waiters(&self) {
        let waiters = lock(&self.cancel_waiters).take();
        let waiters = WakeAll(waiters);
        if !waiters.0.is_empty() {
            drop(self.worker.post(Command::run(move |_py| drop(waiters))));
        }
    }

    /// Wakes those who wait for its cancellation; on the worker.
    pub(crate) fn wake_cancel_waiters(&self) {
        let waiters = lock(&self.cancel_waiters).take();
        drop(WakeAll(waiters));
    }

    /// Whether it was asked to stop, as soon as it was or has ended without that; else `waker` is called then.
    pub(crate) fn poll_cancelled(&self, waker: Option<&Waker>) -> Poll<bool> {
        if let Some(waker) = waker {
            lock(&self.cancel_waiters).add(waker);
        }
        if self.cancel_reason().is_some() {
            Poll::Ready(true)
        } else if self.is_released() {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    }

    /// Whoever has this waker waits for the cancellation no more.
    pub(crate) fn forget_cancel_waiter(&self, waker: &Waker) {
        let removed = lock(&self.cancel_waiters).remove(waker);
        drop(removed);
    }
}

/// Wakes when it is dropped: by the worker, or because that is gone.
struct WakeAll(Vec<Waker>);

impl Drop for WakeAll {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}
