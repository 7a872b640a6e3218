//! Waiting on a plain thread: detached from the interpreter, interruptible by signals.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How long a signal may wait for a thread that blocks here.
const SIGNAL_LATENCY: Duration = Duration::from_millis(50);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Calls `poll` until it gives something, at most for `timeout`; between calls the thread is parked, detached.
///
/// Raises what a signal handler raises.
pub(crate) fn wait<T>(
    py: Python<'_>,
    timeout: Option<Duration>,
    mut poll: impl FnMut(&Waker) -> Option<T>,
) -> PyResult<Option<T>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if let Some(result) = poll(&waker) {
            return Ok(Some(result));
        }
        let left = deadline.map_or(SIGNAL_LATENCY, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        py.detach(|| thread::park_timeout(left.min(SIGNAL_LATENCY)));
        py.check_signals()?;
    }
}
