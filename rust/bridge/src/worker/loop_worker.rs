//! A worker as its event loop sees it: the tasks that are live, the turn's flush, the end of the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pybridge_pool::Pool;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use slab::Slab;

use super::info::{WorkerInfo, WorkerKind};
use super::lag::Lag;
use super::lendable::Lendable;
use super::lifespan_table::Lifespans;
use super::loop_calls::LoopCalls;
use super::mailbox::Mailbox;
use super::os_thread;
use super::shared_outbox::SharedOutbox;
use super::shared_writer::SharedWriter;
use super::thread_cell::ThreadCell;
use super::turn_queue::TurnQueue;
use super::wake_batch::WakeBatch;
use crate::base::deferred_release::Owner;
use crate::base::log;
use crate::state::{Command, StreamState, pools_of_engines, streams_of};

pub(super) struct LiveTask {
    pub(super) stream: Arc<StreamState>,
    /// `None` while the task is being made; an eager one runs during that.
    pub(super) task: Option<Py<PyAny>>,
    pub(super) credit: Option<Py<PyAny>>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) live: Slab<LiveTask>,
    pub(super) writers: Vec<(usize, Arc<Lendable<SharedWriter>>)>,
    lifespans: Lifespans,
    /// Streams whose queues were looked at for pinned segments, all told.
    pub(super) looked_at: usize,
}

/// One per event loop. Its Python references are visible to the collector; the mailbox outlives it.
#[pyclass(frozen, name = "LoopPort", module = "pybridge._pybridge", weakref)]
pub(crate) struct LoopWorker {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) info: Arc<WorkerInfo>,
    wakes: Py<WakeBatch>,
    turns: Py<TurnQueue>,
    retired: AtomicBool,
    pub(crate) outbox: Arc<SharedOutbox>,
    pub(super) tables: ThreadCell<Tables>,
}

impl LoopWorker {
    /// A worker for `event_loop`, which belongs to the calling thread; nothing watches the mailbox yet.
    pub(super) fn new<'py>(event_loop: &Bound<'py, PyAny>, kind: WorkerKind, name: &str) -> PyResult<Bound<'py, Self>> {
        let py = event_loop.py();
        let loop_name = event_loop.get_type().module()?.to_string();
        let info = Arc::new(WorkerInfo {
            name: name.to_owned(),
            kind,
            loop_name: loop_name.split('.').next().unwrap_or_default().to_owned(),
            live: AtomicUsize::new(0),
            thread: AtomicUsize::new(os_thread::identifier()),
            lag: Lag::default(),
        });
        let wakes = WakeBatch::new(event_loop)?;
        Bound::new(
            py,
            Self {
                turns: TurnQueue::new(&wakes)?.unbind(),
                mailbox: Arc::new(Mailbox::new()?),
                info,
                wakes: wakes.unbind(),
                retired: AtomicBool::new(false),
                outbox: Arc::default(),
                tables: ThreadCell::new(Tables::default()),
            },
        )
    }

    /// Has `act` run on the worker, with its object.
    pub(crate) fn command(act: impl FnOnce(Python<'_>, &Bound<'_, Self>) + Send + 'static) -> Command {
        Command::Run(Box::new(|py, worker| {
            if let Ok(worker) = worker.cast() {
                act(py, worker);
            }
        }))
    }

    pub(crate) fn is_dedicated(&self) -> bool {
        self.info.kind == WorkerKind::Dedicated
    }

    pub(crate) fn is_loop(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.event_loop(event_loop.py()).is(event_loop)
    }

    /// Flushes the outbox now.
    pub(crate) fn flush(&self) {
        self.outbox.dispatch();
    }

    /// Flushes the outbox when the loop's turn ends; the outbox has said that the loop must be asked.
    pub(crate) fn schedule_flush(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let this = slf.get();
        if this.calls().call_soon(slf, None).is_err() {
            PyErr::take(py);
            this.outbox.lock().begin_scheduled();
            this.flush();
        }
    }

    /// True while one stream, or none, is live.
    pub(crate) fn is_alone(&self) -> bool {
        self.info.live.load(Ordering::Relaxed) <= 1
    }

    /// The loop ends with `error` in its next turn.
    pub(crate) fn raise_in_loop(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        let reraise = py.import("pybridge._worker")?.getattr("reraise")?;
        self.calls().call_soon(&reraise, Some(crate::base::interpreter::object_of(py, error).bind(py)))
    }

    /// Nobody needs the loop any more: it stops.
    pub(super) fn retire(&self, py: Python<'_>) -> PyResult<()> {
        self.retired.store(true, Ordering::Relaxed);
        self.event_loop(py).call_method0(intern!(py, "stop")).map(drop)
    }

    /// What the lifespans of engines have come to on this worker.
    pub(super) fn lifespans(&self) -> Option<std::cell::RefMut<'_, Lifespans>> {
        Some(std::cell::RefMut::map(self.tables.borrow()?, |tables| &mut tables.lifespans))
    }

    pub(super) fn event_loop<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.wakes.get().event_loop(py)
    }

    /// The writer that this worker's drivers share for `pool`.
    pub(crate) fn writer(&self, pool: &Pool) -> Arc<Lendable<SharedWriter>> {
        let fresh = || {
            let writer = Arc::new(Lendable::new(SharedWriter::new(pool)));
            self.outbox.add(&writer);
            writer
        };
        let Some(mut tables) = self.tables.borrow() else { return fresh() };
        if let Some((_, writer)) = tables.writers.iter().find(|(id, _)| *id == pool.id()) {
            return Arc::clone(writer);
        }
        crate::base::runtime::maintain(pool);
        // A writer keeps its pool: those of pools that no engine has any more, and no driver writes into, go.
        let pools = pools_of_engines();
        tables.writers.retain(|(id, writer)| pools.contains(id) || Arc::strong_count(writer) > 1);
        let writer = fresh();
        tables.writers.push((pool.id(), Arc::clone(&writer)));
        writer
    }

    /// Runs `driver` as an asyncio task in `context`, and keeps the task until it is done.
    pub(crate) fn spawn(
        &self,
        py: Python<'_>,
        stream: &Arc<StreamState>,
        driver: Bound<'_, PyAny>,
        context: Py<PyAny>,
        name: &Py<PyString>,
    ) -> PyResult<()> {
        if let Some(mut tables) = self.tables.borrow() {
            let live = LiveTask { stream: Arc::clone(stream), task: None, credit: None };
            stream.slot.store(tables.live.insert(live), Ordering::Relaxed);
            self.info.live.store(tables.live.len(), Ordering::Relaxed);
            self.info.lag.note_use();
        }
        match self.create_task(py, driver, context, name) {
            Ok(task) => {
                self.with_live(stream, |live| live.task = Some(task.unbind()));
                Ok(())
            }
            Err(error) => {
                self.forget(stream);
                Err(error)
            }
        }
    }

    /// An asyncio task of the loop that runs in `context`.
    pub(super) fn create_task<'py>(
        &self,
        py: Python<'py>,
        driver: Bound<'py, PyAny>,
        context: Py<PyAny>,
        name: &Py<PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.calls().create_task(&driver, context.bind(py), name.bind(py))
    }

    /// Forgets a stream whose driver is done.
    pub(crate) fn forget(&self, stream: &Arc<StreamState>) {
        let slot = stream.slot.load(Ordering::Relaxed);
        let removed = self.tables.borrow().and_then(|mut tables| {
            let known = tables.live.get(slot).is_some_and(|live| Arc::ptr_eq(&live.stream, stream));
            let removed = known.then(|| tables.live.remove(slot));
            self.info.live.store(tables.live.len(), Ordering::Relaxed);
            removed
        });
        drop(removed);
    }

    pub(crate) fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.calls().create_future(py)
    }

    pub(super) fn calls(&self) -> &LoopCalls {
        &self.wakes.get().calls
    }

    /// What wakes tasks on the loop.
    pub(crate) fn wakes<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, WakeBatch> {
        self.wakes.bind(py)
    }

    /// Where tasks wait that could go on, for others to have their turn.
    pub(crate) fn turns<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, TurnQueue> {
        self.turns.bind(py)
    }

    /// Notes what the stream's driver waits for until its consumer has taken enough.
    pub(crate) fn set_credit_waiter(&self, stream: &Arc<StreamState>, future: &Bound<'_, PyAny>) {
        self.with_live(stream, |live| live.credit.replace(future.clone().unbind()));
    }

    pub(super) fn with_live<R>(&self, stream: &Arc<StreamState>, act: impl FnOnce(&mut LiveTask) -> R) -> Option<R> {
        let mut tables = self.tables.borrow()?;
        let live = tables.live.get_mut(stream.slot.load(Ordering::Relaxed))?;
        Arc::ptr_eq(&live.stream, stream).then(|| act(live))
    }

    /// True in the task that drives the stream, also while an eager one is being made.
    pub(crate) fn is_task_of(&self, py: Python<'_>, stream: &Arc<StreamState>) -> PyResult<bool> {
        let current = py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "current_task"))?;
        Ok(self.with_live(stream, |live| live.task.as_ref().is_none_or(|task| task.is(&current))) == Some(true))
    }

    /// Lets the task that drives the stream, and runs now, end in the child of a fork. asyncio forgets there which loop and
    /// which task run, and from Python 3.14 on raises `RuntimeError` in place of what such a task ends with.
    pub(crate) fn let_task_end_in_child(&self, py: Python<'_>, stream: &Arc<StreamState>) -> PyResult<()> {
        let (asyncio, event_loop) = (py.import(intern!(py, "asyncio"))?, self.event_loop(py));
        asyncio.call_method1(intern!(py, "_set_running_loop"), (event_loop,))?;
        let task = self.with_live(stream, |live| live.task.as_ref().map(|task| task.clone_ref(py))).flatten();
        match task {
            Some(task) if asyncio.call_method0(intern!(py, "current_task"))?.is_none() => {
                asyncio.call_method1(intern!(py, "_enter_task"), (event_loop, task)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Sets a future's result unless it is done.
    pub(crate) fn resolve(py: Python<'_>, future: &Bound<'_, PyAny>, result: bool) {
        let outcome = future.call_method0(intern!(py, "done")).and_then(|done| {
            if done.is_truthy()? { Ok(()) } else { future.call_method1(intern!(py, "set_result"), (result,)).map(drop) }
        });
        if let Err(error) = outcome {
            log::warning(py, "worker", "a future could not be resolved", &error);
        }
    }

    /// A loop that is run on another thread than before takes its worker along.
    pub(crate) fn follow_loop(&self, py: Python<'_>) {
        if self.mailbox.is_owner_thread() {
            return;
        }
        self.mailbox.adopt(py);
        self.info.thread.store(os_thread::identifier(), Ordering::Relaxed);
        self.tables.adopt(py);
    }

    /// The loop is closed, or was dropped: its streams end.
    pub(super) fn loop_closed(&self, py: Python<'_>) {
        self.mailbox.close();
        self.follow_loop(py);
        self.flush();
        for stream in streams_of(&*self.mailbox) {
            stream.lose_worker();
        }
        let live = self.tables.borrow().map(|mut tables| std::mem::take(&mut tables.live));
        for task in live.iter().flatten().filter_map(|(_, live)| live.task.as_ref()) {
            // The stream has its ending: asyncio need not complain that nobody ran the task to its end.
            if task.setattr(py, intern!(py, "_log_destroy_pending"), false).is_err() {
                PyErr::take(py);
            }
        }
        drop(live);
        self.info.live.store(0, Ordering::Relaxed);
        let lifespans = self.lifespans().map(|mut lifespans| std::mem::take(&mut *lifespans));
        drop(lifespans);
    }
}

#[python_entry]
#[pymethods]
impl LoopWorker {
    /// The end of a loop turn.
    fn __call__(slf: &Bound<'_, Self>) {
        let this = slf.get();
        this.follow_loop(slf.py());
        if this.outbox.lock().waits_for_next_turn() {
            Self::schedule_flush(slf);
        } else {
            this.outbox.lock().begin_scheduled();
            this.flush();
        }
        this.copy_out_queued();
    }

    /// True once a dedicated worker's thread should end.
    #[getter]
    fn retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.wakes)?;
        visit.call(&self.turns)?;
        let Some(tables) = self.tables.look() else { return Ok(()) };
        for (_, live) in &tables.live {
            visit.call(&live.task)?;
            visit.call(&live.credit)?;
        }
        tables.lifespans.values().try_for_each(|lifespan| lifespan.traverse(&visit))
    }
}

#[python_entry]
impl Drop for LoopWorker {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
