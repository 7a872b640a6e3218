//! Facts about a worker that other threads may read.

use std::sync::atomic::AtomicUsize;

use super::lag::Lag;

/// What a worker runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerKind {
    /// pybridge's own thread.
    Dedicated,
    /// A loop that the caller runs.
    Attached,
}

/// What other threads may know of a worker.
#[derive(Debug)]
pub(crate) struct WorkerInfo {
    pub(crate) name: String,
    pub(crate) kind: WorkerKind,
    pub(crate) loop_name: String,
    pub(crate) live: AtomicUsize,
    /// What Python calls the identifier of its thread.
    pub(super) thread: AtomicUsize,
    pub(super) lag: Lag,
}
