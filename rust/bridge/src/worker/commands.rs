//! What an event loop calls when its worker's mailbox has something: the commands are obeyed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::info::Kind;
use super::loop_worker::Port;
use super::{registry, relief};
use crate::base::log;
use crate::state::{Command, Ending, StreamCore};

/// Commands taken in one callback before the loop gets its turn.
const COMMANDS_PER_TURN: usize = 1024;

/// What the loop holds as its reader callback: dropped with the loop's registration, that is when the loop closes.
#[pyclass(frozen, module = "pybridge._pybridge")]
struct Reader {
    port: Py<Port>,
}

/// A port for `event_loop`, which belongs to the calling thread; the loop watches the mailbox from now on.
pub(super) fn open<'py>(event_loop: &Bound<'py, PyAny>, kind: Kind, name: &str) -> PyResult<Bound<'py, Port>> {
    let py = event_loop.py();
    let port = Port::new(event_loop, kind, name)?;
    let reader = Bound::new(py, Reader { port: port.clone().unbind() })?;
    let add_reader = event_loop.getattr("add_reader")?;
    port.get().calls().context(py).call_method1("run", (add_reader, port.get().mailbox.fd(), reader))?;
    registry::register(&port.get().mailbox, &port.get().info);
    relief::register(&port.get().handoff);
    Ok(port)
}

#[python_entry]
#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) {
        Port::serve(self.port.bind(py));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.port)
    }
}

#[python_entry]
impl Drop for Reader {
    fn drop(&mut self) {
        super::attach::in_dealloc(|py| self.port.get().loop_closed(py));
    }
}

impl Port {
    /// Takes the mailbox empty, or a bounded part of it.
    fn serve(slf: &Bound<'_, Self>) {
        let this = slf.get();
        this.follow_loop(slf.py());
        if this.is_dedicated() {
            crate::base::attach_counts::count(&this.info.name);
        }
        this.mailbox.rearm();
        for _ in 0..COMMANDS_PER_TURN {
            match this.mailbox.take() {
                Some(command) => Self::obey_contained(slf, command),
                None => return,
            }
        }
        this.mailbox.nudge();
    }

    /// A panic ends the stream that the command is for; the commands behind it are served.
    fn obey_contained(slf: &Bound<'_, Self>, command: Command) {
        let core = match &command {
            Command::Start(start) => Some(Arc::clone(&start.core)),
            Command::Resume(core) | Command::Cancel(core) | Command::Grace(core) => Some(Arc::clone(core)),
            Command::Wake(_) | Command::Run(_) | Command::Release(_) => None,
        };
        if catch_unwind(AssertUnwindSafe(|| Self::obey(slf, command))).is_err()
            && let Some(core) = core
        {
            core.fail_internally();
        }
    }

    fn obey(slf: &Bound<'_, Self>, command: Command) {
        let py = slf.py();
        let this = slf.get();
        match command {
            Command::Start(start) => (start.begin)(py, slf, start),
            Command::Resume(core) => {
                if let Some(future) = this.with_live(&core, |live| live.credit.take()).flatten() {
                    Self::resolve(py, future.bind(py), true);
                }
            }
            Command::Cancel(core) => {
                core.wake_cancel_waiters();
                if !core.is_closing()
                    && !this.cancel_task(py, &core)
                    && let Some(reason) = core.cancel_reason()
                {
                    core.finish(Ending::cancelled(reason));
                }
            }
            Command::Grace(core) => {
                this.cancel_task(py, &core);
            }
            Command::Wake(waiter) => waiter.notify(py),
            Command::Run(job) => job(py, slf),
            Command::Release(object) => drop(object),
        }
    }

    /// Cancels the asyncio task of a stream. False: it has none, its handler was never called or is done.
    fn cancel_task(&self, py: Python<'_>, core: &Arc<StreamCore>) -> bool {
        let Some(task) = self.with_live(core, |live| live.task.as_ref().map(|task| task.clone_ref(py))) else {
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
