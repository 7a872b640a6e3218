//! The callback of an event loop for its worker's mailbox, and the execution of the commands in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::info::WorkerKind;
use super::loop_worker::LoopWorker;
use super::{busy_worker_relief, registry};
use crate::base::log;
use crate::state::{Command, Ending, StreamState};

/// Commands taken in one callback before the loop gets its turn.
const COMMANDS_PER_TURN: usize = 1024;

/// What the loop holds as its reader callback: dropped with the loop's registration, that is when the loop closes.
#[pyclass(frozen, module = "pybridge._pybridge")]
struct MailboxCallback {
    worker: Py<LoopWorker>,
}

/// A worker for `event_loop`, which belongs to the calling thread; the loop watches the mailbox from now on.
pub(super) fn open<'py>(
    event_loop: &Bound<'py, PyAny>,
    kind: WorkerKind,
    name: &str,
) -> PyResult<Bound<'py, LoopWorker>> {
    let py = event_loop.py();
    let worker = LoopWorker::new(event_loop, kind, name)?;
    let callback = Bound::new(py, MailboxCallback { worker: worker.clone().unbind() })?;
    let add_reader = event_loop.getattr("add_reader")?;
    worker.get().calls().context(py).call_method1("run", (add_reader, worker.get().mailbox.fd(), callback))?;
    registry::register(&worker.get().mailbox, &worker.get().info);
    busy_worker_relief::register(&worker.get().outbox);
    Ok(worker)
}

#[python_entry]
#[pymethods]
impl MailboxCallback {
    fn __call__(&self, py: Python<'_>) {
        LoopWorker::take_commands(self.worker.bind(py));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.worker)
    }
}

#[python_entry]
impl Drop for MailboxCallback {
    fn drop(&mut self) {
        super::attach::in_dealloc(|py| self.worker.get().loop_closed(py));
    }
}

impl LoopWorker {
    /// Takes the mailbox empty, or a bounded part of it.
    fn take_commands(slf: &Bound<'_, Self>) {
        let this = slf.get();
        this.follow_loop(slf.py());
        if this.is_dedicated() {
            crate::base::attach_counts::count(&this.info.name);
        }
        this.mailbox.rearm();
        for _ in 0..COMMANDS_PER_TURN {
            match this.mailbox.take() {
                Some(command) => Self::execute_contained(slf, command),
                None => return,
            }
        }
        this.mailbox.nudge();
    }

    /// A panic ends the stream that the command is for; the commands behind it are served.
    fn execute_contained(slf: &Bound<'_, Self>, command: Command) {
        let stream = match &command {
            Command::Start(start) => Some(Arc::clone(&start.stream)),
            Command::Resume(stream) | Command::Cancel(stream) | Command::Grace(stream) => Some(Arc::clone(stream)),
            Command::Wake(_) | Command::Run(_) | Command::Release(_) => None,
        };
        if catch_unwind(AssertUnwindSafe(|| Self::execute(slf, command))).is_err()
            && let Some(stream) = stream
        {
            stream.fail_internally();
        }
    }

    fn execute(slf: &Bound<'_, Self>, command: Command) {
        let py = slf.py();
        let this = slf.get();
        match command {
            Command::Start(start) => start.begin(py, slf),
            Command::Resume(stream) => {
                if let Some(future) = this.with_live(&stream, |live| live.credit.take()).flatten() {
                    Self::resolve(py, future.bind(py), true);
                }
            }
            Command::Cancel(stream) => {
                stream.wake_cancel_waiters();
                if !stream.is_closing()
                    && !this.cancel_task(py, &stream)
                    && let Some(reason) = stream.cancel_reason()
                {
                    stream.finish(Ending::cancelled(reason));
                }
            }
            Command::Grace(stream) => {
                this.cancel_task(py, &stream);
            }
            Command::Wake(waiter) => waiter.notify(py),
            Command::Run(job) => job(py, slf),
            Command::Release(object) => drop(object),
        }
    }

    /// Cancels the asyncio task of a stream. False: it has none, its handler was never called or is done.
    fn cancel_task(&self, py: Python<'_>, stream: &Arc<StreamState>) -> bool {
        let Some(task) = self.with_live(stream, |live| live.task.as_ref().map(|task| task.clone_ref(py))) else {
            return false;
        };
        if let Some(task) = task
            && let Err(error) = task.call_method0(py, intern!(py, "cancel"))
        {
            log::warning(py, "worker", "an asyncio task could not be cancelled", &error);
        }
        true
    }
}
