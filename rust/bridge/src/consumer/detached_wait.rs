//! A wait on a plain thread: detached from the interpreter, interruptible by signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;

/// How long a signal may wait for a thread that blocks here.
const SIGNAL_LATENCY: Duration = Duration::from_millis(50);

thread_local! {
    /// One for all waits of a thread: what is woken and no longer waits is kept once.
    static THIS_THREAD: Arc<Parker> = Arc::new(Parker { thread: thread::current(), woken: AtomicBool::new(false) });
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Parker {
    /// Parks the calling thread, whose parker this is, until it is woken, at most for `longest`.
    fn park(&self, longest: Option<Duration>) {
        if !self.woken.load(Ordering::Acquire) {
            match longest {
                Some(longest) => thread::park_timeout(longest),
                None => thread::park(),
            }
        }
        self.woken.store(false, Ordering::Release);
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
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
    let parker = THIS_THREAD.with(Arc::clone);
    let waker = Waker::from(Arc::clone(&parker));
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut latency = None;
    loop {
        if let Some(result) = poll(&waker) {
            return Ok(Some(result));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        let latency = *latency.get_or_insert_with(|| runs_signal_handlers(py).then_some(SIGNAL_LATENCY));
        py.detach(|| parker.park(left.into_iter().chain(latency).min()));
        py.check_signals()?;
    }
}

/// True on the one thread that runs Python's signal handlers.
///
/// There `signal.signal` refuses what is no handler with a `TypeError`; elsewhere it refuses to be called, with a `ValueError`.
fn runs_signal_handlers(py: Python<'_>) -> bool {
    // CPython's cache of attributes is by the address of their names, and keeps each: one of a request would pin its arena.
    let refused = py
        .import(intern!(py, "signal"))
        .and_then(|module| module.call_method1(intern!(py, "signal"), (libc::SIGINT, py.None())));
    !refused.is_err_and(|error| error.is_instance_of::<PyValueError>(py))
}
