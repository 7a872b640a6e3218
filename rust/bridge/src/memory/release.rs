//! Giving memory back to the system, and the record of it.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::malloc;
use super::resident::resident;
use crate::lock::{Mutex, MutexGuard};
use crate::log;
use crate::worker::run_on_any;

/// Longest wait for a loop to take its turn; one that does not run must not keep malloc's share from going back.
const LOOP_TIMEOUT: Duration = Duration::from_secs(5);

/// More than an interpreter freezes by itself: 3.12's collector does so with immortal objects, some hundred. A program's
/// freeze takes all there are, tens of thousands.
const FROZEN_BY_INTERPRETER: usize = 2_000;

/// Records kept.
const HISTORY: usize = 64;

static RELEASES: Mutex<VecDeque<Release>> = Mutex::new(VecDeque::new());

/// One time that memory was given back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release {
    /// Seconds since the epoch.
    pub(super) when: f64,
    /// `malloc` or `python`.
    pub(super) what: &'static str,
    /// Bytes by which resident memory fell.
    pub(super) bytes: usize,
    pub(super) seconds: f64,
}

fn lock() -> MutexGuard<'static, VecDeque<Release>> {
    RELEASES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was given back lately, oldest first.
pub(super) fn releases() -> Vec<Release> {
    lock().iter().copied().collect()
}

/// Does `work` and records what it gave back, if it did anything.
fn recorded(what: &'static str, work: impl FnOnce() -> bool) {
    let before = resident().unwrap_or_default();
    let when = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let started = Instant::now();
    if !work() {
        return;
    }
    let seconds = started.elapsed().as_secs_f64();
    let bytes = before.saturating_sub(resident().unwrap_or_default());
    let mut releases = lock();
    if releases.len() == HISTORY {
        releases.pop_front();
    }
    releases.push_back(Release { when, what, bytes, seconds });
}

/// Gives malloc's free pages back, on a plain thread: it takes malloc's locks for milliseconds.
pub(super) async fn release_malloc() {
    let (done, finished) = oneshot::channel::<()>();
    let work = move || {
        recorded("malloc", malloc::trim);
        drop(done);
    };
    if std::thread::Builder::new().name("pybridge-memory".into()).spawn(work).is_ok() {
        let _ = finished.await;
    }
}

/// Empties Python's free lists, on a worker's loop: a few dead objects there pin most of the arenas.
pub(super) async fn release_python() {
    let (done, finished) = oneshot::channel::<()>();
    let call = Box::new(move |py: Python<'_>, _: &Bound<'_, _>| {
        if !done.is_closed() {
            recorded("python", || match empty_free_lists(py) {
                Ok(emptied) => emptied,
                Err(error) => {
                    log::warning(py, "memory", "Python's free lists could not be emptied", &error);
                    false
                }
            });
        }
        drop(done);
    });
    run_on_any(call);
    // A call that no worker takes is dropped, and its sender with it.
    let _ = tokio::time::timeout(LOOP_TIMEOUT, finished).await;
}

/// Objects that the program froze with `gc.freeze()`, if it did.
pub(super) fn frozen_by_program(py: Python<'_>) -> PyResult<Option<usize>> {
    let frozen = py.import("gc")?.call_method0("get_freeze_count")?.extract()?;
    Ok((frozen > FROZEN_BY_INTERPRETER).then_some(frozen))
}

/// A collection that looks at no object empties the free lists all the same. False: objects are frozen, and thawing
/// ours would thaw those of the program too.
fn empty_free_lists(py: Python<'_>) -> PyResult<bool> {
    if frozen_by_program(py)?.is_some() {
        return Ok(false);
    }
    let gc = py.import("gc")?;
    gc.call_method0("freeze")?;
    let collected = gc.call_method0("collect");
    gc.call_method0("unfreeze")?;
    collected.map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_releases_are_on_record_and_what_did_nothing_is_not() {
        let mut block = vec![1_u8; 64 << 20];
        recorded("malloc", || {
            block = Vec::new();
            true
        });
        let first = releases()[0];
        assert_eq!(first.what, "malloc");
        assert!(first.bytes >= 60 << 20 || resident().is_none(), "{first:?}");
        assert!(first.when > 0.0 && first.seconds > 0.0, "{first:?}");

        recorded("python", || false);
        assert_eq!(releases().len(), 1);

        (0..HISTORY).for_each(|_| recorded("python", || true));
        let kept = releases();
        assert_eq!(kept.len(), HISTORY);
        assert!(kept.iter().all(|release| release.what == "python"), "the oldest goes first");
    }
}
