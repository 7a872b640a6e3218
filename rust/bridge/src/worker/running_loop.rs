//! The event loop that runs on the calling thread, and the worker that serves it.

use std::cell::RefCell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyWeakrefReference};

use super::commands;
use super::info::WorkerKind;
use super::loop_worker::LoopWorker;
use crate::base::deferred_release::orphan;

thread_local! {
    /// The worker of the loop that last ran on this thread. Weak: a thread's memory must not keep a loop alive.
    static LAST: RefCell<Last> = const { RefCell::new(Last(None)) };
}

struct Last(Option<Py<PyWeakrefReference>>);

impl Drop for Last {
    /// The thread ends, be it from below frames that still count as attached.
    fn drop(&mut self) {
        if let Some(weak) = self.0.take() {
            orphan(weak.into_any());
        }
    }
}

/// The event loop running on this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let get = GET.import(py, "asyncio", "_get_running_loop")?;
    let event_loop = get.call0()?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

/// Whether trio runs on this thread, where no loop of asyncio does. Imports nothing but `sys`, and that once; false where
/// trio was not imported.
pub(crate) fn trio_runs_here(py: Python<'_>) -> PyResult<bool> {
    static SYS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let sys = SYS.get_or_try_init(py, || py.import(intern!(py, "sys")).map(Bound::unbind))?.bind(py);
    let trio = sys.getattr(intern!(py, "modules")).and_then(|modules| modules.get_item(intern!(py, "trio")));
    // Asked for anywhere else, trio's token is an error.
    Ok(trio
        .and_then(|trio| trio.getattr(intern!(py, "lowlevel"))?.call_method0(intern!(py, "current_trio_token")))
        .is_ok())
}

/// The worker of the loop running on this thread, opened if it has none; `None` where no loop runs.
pub(crate) fn running_worker(py: Python<'_>) -> PyResult<Option<Bound<'_, LoopWorker>>> {
    let Some(event_loop) = running_loop(py)? else { return Ok(None) };
    let last = LAST.with_borrow(|last| last.0.as_ref().map(|last| last.clone_ref(py)));
    if let Some(worker) = last.and_then(|last| last.bind(py).upgrade_as::<LoopWorker>().ok().flatten())
        && worker.get().mailbox.is_open()
        && worker.get().is_loop(&event_loop)
    {
        worker.get().follow_loop(py);
        return Ok(Some(worker));
    }
    let worker = match known_worker(py, &event_loop)? {
        Some(worker) => {
            worker.get().follow_loop(py);
            worker
        }
        None => open_port(py, &event_loop)?,
    };
    let weak = PyWeakrefReference::new(&worker)?.unbind();
    let old = LAST.with_borrow_mut(|last| last.0.replace(weak));
    drop(old);
    Ok(Some(worker))
}

/// Ports by loop, for threads on which several loops take turns.
fn table(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static PORTS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PORTS
        .get_or_try_init(py, || Ok(py.import("weakref")?.getattr("WeakKeyDictionary")?.call0()?.unbind()))
        .map(|table| table.bind(py))
}

fn known_worker<'py>(py: Python<'py>, event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, LoopWorker>>> {
    let known = table(py)?.call_method1(intern!(py, "get"), (event_loop,))?;
    if known.is_none() {
        return Ok(None);
    }
    let worker = known.call0()?.cast_into::<LoopWorker>().ok();
    Ok(worker.filter(|worker| worker.get().mailbox.is_open()))
}

fn open_port<'py>(py: Python<'py>, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, LoopWorker>> {
    let worker = commands::open(event_loop, WorkerKind::Attached, "attached")?;
    register(py, event_loop, &worker)?;
    Ok(worker)
}

/// Makes `worker` the one that is found for `event_loop`.
pub(super) fn register(py: Python<'_>, event_loop: &Bound<'_, PyAny>, worker: &Bound<'_, LoopWorker>) -> PyResult<()> {
    table(py)?.set_item(event_loop, PyWeakrefReference::new(worker)?)
}
