//! Detection of lifespans that would wait for themselves, by the calls that each waits for while it is entered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::base::context_vars::context_value;
use crate::base::lock::{Mutex, MutexGuard, lock};
use crate::state::{CommandSink, EngineState, StreamState};

static ENTERING: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

struct Entry {
    id: u64,
    engine: u64,
    name: String,
    worker: Arc<dyn CommandSink>,
    /// Calls made by the lifespan, by its tasks and by the handlers that they called.
    calls: Vec<Arc<StreamState>>,
}

impl Entry {
    /// True if `call` cannot begin before this lifespan is entered.
    fn holds_up(&self, call: &StreamState) -> bool {
        self.engine == call.engine.id && Arc::ptr_eq(&self.worker, &call.worker)
    }
}

fn entries() -> MutexGuard<'static, Vec<Entry>> {
    lock(&ENTERING)
}

fn is_waiting(call: &StreamState) -> bool {
    !call.has_begun() && !call.is_released()
}

/// One lifespan from the begin of its entering until that has succeeded, failed or lost its loop.
pub(super) struct Entering(u64);

impl Entering {
    pub(super) fn begin(engine: &EngineState, worker: Arc<dyn CommandSink>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (engine, name) = (engine.id, engine.name.clone());
        entries().push(Entry { id, engine, name, worker, calls: Vec::new() });
        Self(id)
    }

    /// What [`mark`] makes known to the code of this lifespan.
    pub(super) fn id(&self) -> u64 {
        self.0
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let mut entries = entries();
        let over = entries.iter().position(|entry| entry.id == self.0).map(|index| entries.swap_remove(index));
        // The calls may own Python references: they go with the lock released.
        drop(entries);
        drop(over);
    }
}

/// The `contextvars.ContextVar` that holds the number of the lifespan that code belongs to. Tasks inherit it, and so do
/// threads that are given a copy of the context, those of a worker's default executor, and handlers.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    VARIABLE.import(py, "pybridge._lifespan", "lifespan_number")
}

/// Makes `context` the one of the lifespan with this number.
pub(super) fn mark(py: Python<'_>, context: &Py<PyAny>, id: u64) -> PyResult<()> {
    let set = variable(py)?.getattr(intern!(py, "set"))?;
    context.call_method1(py, intern!(py, "run"), (set, id)).map(drop)
}

/// The lifespan that code runs for, as long as it is being entered.
pub(crate) fn current_lifespan(py: Python<'_>) -> PyResult<Option<u64>> {
    let Some(id) = context_value(variable(py)?)?.map(|id| id.extract::<u64>()).transpose()? else { return Ok(None) };
    Ok(entries().iter().any(|entry| entry.id == id).then_some(id))
}

/// Notes that the lifespan with this number, which is being entered, waits for `call`.
///
/// Raises `RuntimeError` where the call would wait for that very lifespan, by itself or through other lifespans.
pub(crate) fn wait_for(lifespan: u64, call: &Arc<StreamState>) -> PyResult<()> {
    let mut entries = entries();
    let Some(caller) = entries.iter().position(|entry| entry.id == lifespan) else { return Ok(()) };
    if is_held_up_by(&entries, call, caller) {
        let (engine, by) = (&call.engine.name, entries[caller].name.clone());
        drop(entries);
        return Err(PyRuntimeError::new_err(format!(
            "engine {engine} is called from the lifespan of engine {by}, which the call would wait for: make it once the \
             lifespan has been entered, in a task that the lifespan starts and does not wait for"
        )));
    }
    let calls = std::mem::take(&mut entries[caller].calls);
    let (mut waiting, over): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| is_waiting(call));
    waiting.push(Arc::clone(call));
    entries[caller].calls = waiting;
    drop(entries);
    drop(over);
    Ok(())
}

/// True if `call` waits for a lifespan that waits, through any number of others, for the one at `caller`.
fn is_held_up_by(entries: &[Entry], call: &StreamState, caller: usize) -> bool {
    let lifespan_of = |call: &StreamState| entries.iter().position(|entry| entry.holds_up(call));
    let mut found: Vec<usize> = lifespan_of(call).into_iter().collect();
    let mut next = 0;
    while let Some(&lifespan) = found.get(next) {
        if lifespan == caller {
            return true;
        }
        for further in
            entries[lifespan].calls.iter().filter(|call| is_waiting(call)).filter_map(|call| lifespan_of(call))
        {
            if !found.contains(&further) {
                found.push(further);
            }
        }
        next += 1;
    }
    false
}
