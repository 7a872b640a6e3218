//! The orderly end of a program that embeds Python, without finalizing the interpreter.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::interpreter::is_initialized;
use crate::base::log;
use crate::worker;

/// Longest time that is asked for; what is longer counts as this.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Ends all streams with the reason `shutdown`, leaves the lifespans and stops the workers, as the interpreter's exit does.
/// Suspends until that is done, at most for `grace`: a handler that does not end by then is left behind.
///
/// For the end of `main`. Handlers have two thirds of the time for their cleanup, lifespans and threads the rest. pybridge cannot
/// be used afterwards; the interpreter goes on, and so does the host's own runtime. The thread that polls never attaches to the
/// interpreter. It begins when it is first polled, and goes on if it is dropped. Further calls do nothing.
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn example() {
/// pybridge::embed::shutdown(Duration::from_secs(10)).await;
/// # }
/// ```
pub async fn shutdown(grace: Duration) {
    let (done, ended) = oneshot::channel::<()>();
    let stop = move || {
        shutdown_blocking(grace);
        drop(done);
    };
    if thread::Builder::new().name("pybridge-shutdown".into()).spawn(stop).is_ok() {
        let _ = ended.await;
    }
}

/// As [`shutdown`]; blocks instead, on any thread, attached to the interpreter or not.
///
/// ```no_run
/// use std::time::Duration;
///
/// pybridge::embed::shutdown_blocking(Duration::from_secs(10));
/// ```
pub fn shutdown_blocking(grace: Duration) {
    if !is_initialized() {
        return;
    }
    let grace = grace.min(LONGEST);
    let (done, ended) = mpsc::sync_channel::<()>(1);
    // Of its own: it waits for the interpreter, which code that never gives it back may hold.
    let stop = move || {
        worker::try_attach(|py| stop(py, grace));
        drop(done);
    };
    if thread::Builder::new().name("pybridge-stop".into()).spawn(stop).is_ok() {
        let _ = worker::detached(move || ended.recv_timeout(grace));
    }
}

fn stop(py: Python<'_>, within: Duration) {
    let stopped = py.import("sys").and_then(|sys| sys.getattr("modules")).and_then(|modules| {
        // Where the package was never imported nothing runs.
        if !modules.contains("pybridge._stop_at_exit")? {
            return Ok(());
        }
        modules.get_item("pybridge._stop_at_exit")?.call_method1("stop_all", (within.as_secs_f64(),)).map(drop)
    });
    if let Err(error) = stopped {
        log::warning(py, "embed", "pybridge could not be stopped", &error);
    }
}
