//! The registry of open workers: statistics, and commands for any of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyo3::prelude::*;

use super::info::{WorkerInfo, WorkerKind};
use super::loop_worker::LoopWorker;
use super::mailbox::Mailbox;
use crate::base::deferred_release::Owner;
use crate::base::lock::{Mutex, lock};
use crate::state::CommandSink;

static WORKERS: Mutex<Vec<(Weak<Mailbox>, Arc<WorkerInfo>)>> = Mutex::new(Vec::new());

/// Adds a worker to the list; closed ones leave it.
pub(super) fn register(mailbox: &Arc<Mailbox>, info: &Arc<WorkerInfo>) {
    let mut workers = lock(&WORKERS);
    workers.retain(|(mailbox, _)| mailbox.upgrade().is_some_and(|mailbox| mailbox.is_open()));
    workers.push((Arc::downgrade(mailbox), Arc::clone(info)));
}

/// The mailboxes of open workers.
pub(super) fn mailboxes() -> Vec<Arc<Mailbox>> {
    open_workers().into_iter().map(|(mailbox, _)| mailbox).collect()
}

/// The open workers.
pub(super) fn open_workers() -> Vec<(Arc<Mailbox>, Arc<WorkerInfo>)> {
    let workers = lock(&WORKERS);
    let open = workers.iter().filter_map(|(mailbox, info)| Some((mailbox.upgrade()?, Arc::clone(info))));
    open.filter(|(mailbox, _)| mailbox.is_open()).collect()
}

/// True on the thread of a dedicated worker, attached or not.
pub(crate) fn is_worker_thread() -> bool {
    open_workers().iter().any(|(mailbox, info)| info.kind == WorkerKind::Dedicated && mailbox.is_owner_thread())
}

/// Has an open worker run `act`, a dedicated one if there is any, for its loop is always running. Without a worker the
/// call is dropped.
pub(crate) fn run_on_any(act: impl FnOnce(Python<'_>, &Bound<'_, LoopWorker>) + Send + 'static) {
    if let Some(mailbox) = any_mailbox() {
        drop(mailbox.post(LoopWorker::command(act)));
    }
}

fn any_mailbox() -> Option<Arc<Mailbox>> {
    let (mailbox, _) = open_workers().into_iter().max_by_key(|(_, info)| info.kind == WorkerKind::Dedicated)?;
    Some(mailbox)
}

/// One thread that runs handlers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Name of the worker.
    pub name: String,
    /// `dedicated`, or `attached` to a loop of a Python caller.
    pub kind: &'static str,
    /// Class of its event loop.
    pub loop_name: String,
    /// How late its event loop is now.
    pub lag_ms: f64,
    /// Times that the loop did not turn for longer than a second.
    pub stalls: u64,
    /// Streams that run on it, of all engines.
    pub live: usize,
    /// Times that Rust woke its loop.
    pub wakeups: u64,
}

/// How late the event loop is that is late most.
pub(crate) fn longest_lag() -> Duration {
    open_workers().iter().map(|(_, info)| info.lag.now()).max().unwrap_or_default()
}

/// The workers that are open.
pub(crate) fn workers() -> Vec<WorkerStats> {
    let open = open_workers().into_iter();
    open.map(|(mailbox, info)| WorkerStats {
        name: info.name.clone(),
        kind: match info.kind {
            WorkerKind::Dedicated => "dedicated",
            WorkerKind::Attached => "attached",
        },
        loop_name: info.loop_name.clone(),
        lag_ms: info.lag.now().as_secs_f64() * 1000.0,
        stalls: info.lag.stalls(),
        live: info.live.load(Ordering::Relaxed),
        wakeups: mailbox.counts().0,
    })
    .collect()
}
