//! Python references that any thread may drop; the thread of their loop, or the next Python thread, releases them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::SegQueue;
use pyo3::prelude::*;

/// The thread that may drop some Python references.
pub(crate) trait Owner: fmt::Debug + Send + Sync {
    /// True on that thread.
    fn is_owner_thread(&self) -> bool;

    /// Sends a Python reference there, or to the next Python thread that comes by if the worker is gone.
    fn release(&self, object: Py<PyAny>);
}

/// The owner of references that belong to no worker.
#[derive(Debug)]
struct NextPythonThread;

impl Owner for NextPythonThread {
    fn is_owner_thread(&self) -> bool {
        false
    }

    fn release(&self, object: Py<PyAny>) {
        orphan(object);
    }
}

/// References whose worker is gone; the next Python thread that enters pybridge releases them.
static ORPHANS: SegQueue<Py<PyAny>> = SegQueue::new();
static LEAKED: AtomicU64 = AtomicU64::new(0);

/// A Python reference that never needs the interpreter to be dropped.
///
/// On its worker's thread the drop is immediate; elsewhere the reference goes to that thread through the mailbox.
#[derive(Debug)]
pub(crate) struct LoopOwned {
    object: Option<Py<PyAny>>,
    owner: Arc<dyn Owner>,
}

impl LoopOwned {
    pub(crate) fn new(object: Py<PyAny>, owner: Arc<dyn Owner>) -> Self {
        Self { object: Some(object), owner }
    }

    /// A reference of no worker: the next Python thread that comes by releases it.
    pub(crate) fn unowned(object: Py<PyAny>) -> Self {
        Self::new(object, Arc::new(NextPythonThread))
    }

    /// The object; the caller is attached.
    pub(crate) fn get(&self, _py: Python<'_>) -> &Py<PyAny> {
        self.object.as_ref().expect("taken only by into_inner and drop")
    }

    /// The object, for the collector, which is no attached caller.
    pub(crate) fn peek(&self) -> Option<&Py<PyAny>> {
        self.object.as_ref()
    }

    /// As [`peek`](Self::peek), but `None` while others own it as well: the collector would take it for garbage although
    /// they can reach it.
    pub(crate) fn peek_unshared(shared: &Arc<Self>) -> Option<&Py<PyAny>> {
        if Arc::strong_count(shared) == 1 { shared.peek() } else { None }
    }

    /// Takes the object out; the caller is attached.
    pub(crate) fn into_inner(mut self, _py: Python<'_>) -> Py<PyAny> {
        self.object.take().expect("taken only by into_inner and drop")
    }
}

impl Drop for LoopOwned {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.owner.is_owner_thread() {
            drop(object);
        } else {
            self.owner.release(object);
        }
    }
}

/// Keeps `object` for the next Python thread that comes by.
pub(crate) fn orphan(object: Py<PyAny>) {
    if crate::base::runtime::exiting() {
        std::mem::forget(object);
        LEAKED.fetch_add(1, Ordering::Relaxed);
    } else {
        ORPHANS.push(object);
    }
}

/// Releases what dead workers left behind; called by every entry from Python.
pub(crate) fn drain_orphans(_py: Python<'_>) {
    while let Some(object) = ORPHANS.pop() {
        drop(object);
    }
}

/// References released late so far: waiting for a Python thread, and leaked on purpose at exit.
pub(crate) fn release_counts() -> (usize, u64) {
    (ORPHANS.len(), LEAKED.load(Ordering::Relaxed))
}
