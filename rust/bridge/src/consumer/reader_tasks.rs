//! The tasks that read Python streams: one at a time; a stream ends if its cancelled reader does not come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::task::AbortHandle;

use crate::base::lock::{Mutex, lock};
use crate::base::runtime;
use crate::error::Reason;
use crate::state::{Command, CommandSink, StreamState};
use crate::worker::Mailbox;

/// How long a stream waits for another reader once the task that read it has ended.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// The readers of one stream. Used with the interpreter only.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    reading: AtomicBool,
    /// A read was cancelled some time: there may be something in `left`.
    was_left: AtomicBool,
    left: Mutex<Option<Arc<Left>>>,
}

impl Readers {
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }

    /// Makes the caller the one who waits for the next item; false: somebody else does.
    pub(crate) fn begin(&self) -> bool {
        !self.reading.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.reading.store(false, Ordering::Relaxed);
    }

    /// A read begins. If it is another task's than that of the cancelled read, the stream has a new reader.
    pub(crate) fn come_back(&self, py: Python<'_>) {
        if !self.was_left.load(Ordering::Relaxed) {
            return;
        }
        let Some(left) = lock(&self.left).clone() else { return };
        if current_task(py).is_none_or(|task| !left.is_by(&task)) {
            left.settle();
            *lock(&self.left) = None;
        }
    }

    /// A pending read was cancelled. `coroutine` is its awaitable, `mailbox` that of the loop it waited on.
    ///
    /// The task that read may read again while it lives, and a task of its own may be followed by another one for
    /// `abandon_timeout`.
    pub(crate) fn leave(
        &self,
        coroutine: &Bound<'_, PyAny>,
        stream: &Arc<StreamState>,
        mailbox: &Arc<Mailbox>,
    ) -> PyResult<()> {
        let task = current_task(coroutine.py()).filter(|task| !is_task_of(task, coroutine));
        let known = lock(&self.left).clone();
        if task.as_ref().is_some_and(|task| known.is_some_and(|left| left.is_by(task))) {
            return Ok(());
        }
        let left = Left::new(stream, mailbox);
        match &task {
            Some(task) => left.wait_for(task)?,
            None => {
                if let Some(patience) = stream.engine.flow.abandon_timeout {
                    left.start(patience);
                }
            }
        }
        self.was_left.store(true, Ordering::Relaxed);
        let old = lock(&self.left).replace(left);
        if let Some(old) = old {
            old.settle();
        }
        Ok(())
    }
}

/// A cancelled read whose reader may come back.
#[derive(Debug)]
struct Left {
    stream: Weak<StreamState>,
    mailbox: Arc<Mailbox>,
    /// The address of the task that read, while it lives; else 0.
    task: AtomicUsize,
    /// The stream has a new reader, or was ended for want of one.
    settled: AtomicBool,
    timer: OnceLock<AbortHandle>,
}

impl Left {
    fn new(stream: &Arc<StreamState>, mailbox: &Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self {
            stream: Arc::downgrade(stream),
            mailbox: Arc::clone(mailbox),
            task: AtomicUsize::new(0),
            settled: AtomicBool::new(false),
            timer: OnceLock::new(),
        })
    }

    fn is_by(&self, task: &Bound<'_, PyAny>) -> bool {
        self.task.load(Ordering::Relaxed) == address(task)
    }

    /// Starts the clock when `task` ends.
    fn wait_for(self: &Arc<Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let address = address(task);
        if !TaskEnd::is_watched(address) {
            let watch = Bound::new(task.py(), TaskEnd { address, reported: AtomicBool::new(false) })?;
            TaskEnd::expect(address);
            task.call_method1(intern!(task.py(), "add_done_callback"), (watch,))?;
        }
        self.task.store(address, Ordering::Relaxed);
        TaskEnd::notify(address, self);
        Ok(())
    }

    fn task_ended(self: &Arc<Self>) {
        self.task.store(0, Ordering::Relaxed);
        if !self.settled.load(Ordering::Relaxed) {
            self.start(GONE_AFTER);
        }
    }

    /// Ends the stream after `patience`, unless somebody reads. The loop decides, where it still turns: a reader that it
    /// kept waiting meanwhile comes first.
    fn start(self: &Arc<Self>, patience: Duration) {
        let Some(runtime) = runtime::handle() else { return };
        let left = Arc::downgrade(self);
        let timer = runtime.spawn(async move {
            tokio::time::sleep(patience).await;
            let Some(left) = left.upgrade() else { return };
            let mailbox = Arc::clone(&left.mailbox);
            let decision = Decision(left);
            drop(mailbox.post(Command::run(move |_py| drop(decision))));
        });
        let _ = self.timer.set(timer.abort_handle());
    }

    fn settle(&self) {
        self.settled.store(true, Ordering::SeqCst);
        if let Some(timer) = self.timer.get() {
            timer.abort();
        }
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.settle();
    }
}

/// Ends the stream for want of a reader when it is dropped: on the loop, or because that is closed.
struct Decision(Arc<Left>);

impl Drop for Decision {
    fn drop(&mut self) {
        if !self.0.settled.swap(true, Ordering::SeqCst)
            && let Some(stream) = self.0.stream.upgrade()
        {
            stream.abandon(Reason::Caller);
        }
    }
}

/// What the tasks that are watched have left, by their addresses. Each task has one watch, whatever it reads; an entry
/// lives as long as the watch, which lives as long as the task.
static TASKS: Mutex<Option<HashMap<usize, Vec<Weak<Left>>>>> = Mutex::new(None);

/// What a task calls when it is done.
#[pyclass(frozen, module = "pybridge._pybridge")]
struct TaskEnd {
    address: usize,
    reported: AtomicBool,
}

impl TaskEnd {
    fn is_watched(address: usize) -> bool {
        lock(&TASKS).as_ref().is_some_and(|tasks| tasks.contains_key(&address))
    }

    fn expect(address: usize) {
        lock(&TASKS).get_or_insert_default().entry(address).or_default();
    }

    fn notify(address: usize, left: &Arc<Left>) {
        if let Some(waiting) = lock(&TASKS).as_mut().and_then(|tasks| tasks.get_mut(&address)) {
            if waiting.len() == waiting.capacity() {
                waiting.retain(|left| left.strong_count() > 0);
            }
            waiting.push(Arc::downgrade(left));
        }
    }

    fn report(&self) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            let waiting = lock(&TASKS).as_mut().and_then(|tasks| tasks.remove(&self.address));
            waiting.into_iter().flatten().filter_map(|left| left.upgrade()).for_each(|left| left.task_ended());
        }
    }
}

#[python_entry]
#[pymethods]
impl TaskEnd {
    fn __call__(&self, _task: &Bound<'_, PyAny>) {
        self.report();
    }
}

#[python_entry]
impl Drop for TaskEnd {
    /// A task that is destroyed while it waits does not call what waits for its end.
    fn drop(&mut self) {
        self.report();
    }
}

fn address(task: &Bound<'_, PyAny>) -> usize {
    task.as_ptr().addr()
}

/// The task that runs; `None` outside one.
fn current_task(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let task = GET.import(py, "asyncio", "current_task").and_then(PyAnyMethods::call0).ok()?;
    (!task.is_none()).then_some(task)
}

/// True if `coroutine` is all that `task` runs; also where the task does not tell.
fn is_task_of(task: &Bound<'_, PyAny>, coroutine: &Bound<'_, PyAny>) -> bool {
    task.call_method0(intern!(task.py(), "get_coro")).map_or(true, |run| run.is(coroutine))
}
