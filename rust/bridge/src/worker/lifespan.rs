//! An engine's `lifespan` on one worker: entered before the first request, left when the engine or the loop closes.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::lifespan_deadlock::{self, Entering};
use super::lifespan_table::{Entered, Lifespan, Stage, Waiting};
use super::loop_worker::LoopWorker;
use super::mailbox::Mailbox;
use super::task_context::TaskSettings;
use crate::base::deferred_release::LoopOwned;
use crate::error::handler_exit::contained_base;
use crate::error::py_errors::failure_of;
use crate::state::{CommandSink, EngineState, LifespanGuard, StartRequest, fail};

/// An engine's Python object, as far as its lifespan goes.
pub(crate) trait HasLifespan: Sized {
    /// The engine that `object` is.
    ///
    /// # Errors
    /// It is no engine.
    fn of<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a Self>;

    fn engine_state(&self) -> &Arc<EngineState>;

    /// What makes the context manager, if the engine has one.
    fn lifespan(&self) -> Option<&Py<PyAny>>;

    fn tasks(&self) -> &TaskSettings;
}

/// Whether a request may go on.
pub(crate) enum Gate {
    /// It may.
    Open(Box<StartRequest>),
    /// It was put aside until the lifespan is entered.
    Waiting,
}

impl Gate {
    /// Looks whether the engine of `start` has a lifespan here, and has it entered at the first request.
    pub(crate) fn of(
        py: Python<'_>,
        worker: &Bound<'_, LoopWorker>,
        engine: &impl HasLifespan,
        start: Box<StartRequest>,
    ) -> PyResult<Self> {
        Ok(match enter_or_wait(py, worker, engine, Waiting::Call(start))? {
            Some(Waiting::Call(start)) => Self::Open(start),
            _ => Self::Waiting,
        })
    }
}

/// Has the lifespan of `engine`, if it has one, entered on the worker of `mailbox`; tells when it is.
///
/// Nothing comes where the worker has gone, or goes meanwhile. `raises`: a failure keeps the exception itself.
pub(crate) fn enter_lifespan<E: HasLifespan>(
    mailbox: &Arc<Mailbox>,
    engine: Arc<LoopOwned>,
    raises: bool,
) -> oneshot::Receiver<Entered> {
    let (entered, receiver) = oneshot::channel();
    let enter = move |py: Python<'_>, worker: &Bound<'_, LoopWorker>| {
        let Ok(lifespan) = E::of(engine.get(py).bind(py)) else { return };
        let waiting = Waiting::Server { entered, raises };
        if let Ok(Some(Waiting::Server { entered, .. })) = enter_or_wait(py, worker, lifespan, waiting) {
            drop(entered.send(Ok(())));
        }
    };
    drop(mailbox.post(LoopWorker::command(enter)));
    receiver
}

/// Puts `waiting` aside until the lifespan of `engine` is entered here, and has that begun if it is not; what need not wait
/// comes back.
fn enter_or_wait(
    py: Python<'_>,
    worker: &Bound<'_, LoopWorker>,
    engine: &impl HasLifespan,
    waiting: Waiting,
) -> PyResult<Option<Waiting>> {
    let Some(factory) = engine.lifespan() else { return Ok(Some(waiting)) };
    let engine_state = engine.engine_state();
    let stop = worker.get().create_future(py)?;
    let number = {
        let Some(mut lifespans) = worker.get().lifespans() else { return Ok(Some(waiting)) };
        match lifespans.get_mut(&engine_state.id).map(|lifespan| &mut lifespan.stage) {
            Some(Stage::Entered(_) | Stage::Leaving) => return Ok(Some(waiting)),
            Some(Stage::Entering { waiting: others, .. }) => {
                others.push(waiting);
                return Ok(None);
            }
            None => {
                let entering = Entering::begin(engine_state, worker.get().mailbox.sink());
                let number = entering.id();
                let stage = Stage::Entering { waiting: vec![waiting], entering };
                let stop = stop.clone().unbind();
                lifespans.insert(engine_state.id, Lifespan { number, stage, stop, task: None });
                number
            }
        }
    };
    if let Err(error) = worker.get().hold(py, worker, engine, factory, &stop, number) {
        let value = crate::base::interpreter::object_of(py, &error);
        worker.get().entered(py, worker, engine_state.id, py.None(), Some(value));
    }
    Ok(None)
}

impl LoopWorker {
    /// What the engine's lifespan yielded here, or None.
    pub(crate) fn lifespan_state(&self, py: Python<'_>, engine: &Arc<EngineState>) -> Py<PyAny> {
        let lifespans = self.lifespans();
        match lifespans.as_ref().and_then(|lifespans| lifespans.get(&engine.id)).map(|lifespan| &lifespan.stage) {
            Some(Stage::Entered(state)) => state.clone_ref(py),
            _ => py.None(),
        }
    }

    /// Starts the asyncio task that keeps the context manager open, in a copy of the engine's context.
    fn hold(
        &self,
        py: Python<'_>,
        worker: &Bound<'_, Self>,
        engine: &impl HasLifespan,
        factory: &Py<PyAny>,
        stop: &Bound<'_, PyAny>,
        number: u64,
    ) -> PyResult<()> {
        let tasks = engine.tasks();
        let context = tasks.copy_context(py)?;
        lifespan_deadlock::mark(py, &context, number)?;
        let guard = engine.engine_state().enter_lifespan();
        let id = engine.engine_state().id;
        let progress = Bound::new(py, Progress { worker: worker.clone().unbind(), engine: id, number, _guard: guard })?;
        let arguments = (factory, progress, stop, &engine.engine_state().name);
        let held = py.import("pybridge._lifespan")?.call_method1("hold_lifespan", arguments)?;
        let task = self.create_task(py, held, context, &tasks.name)?;
        // It is kept here until it is over: a loop that nobody closes can be collected with the task.
        if let Some(lifespan) = self.lifespans().as_mut().and_then(|lifespans| lifespans.get_mut(&id))
            && lifespan.number == number
        {
            lifespan.task = Some(task.unbind());
        }
        Ok(())
    }

    /// The context manager was entered, or failed to be: requests that waited go on, or fail with it.
    fn entered(&self, py: Python<'_>, worker: &Bound<'_, Self>, id: u64, state: Py<PyAny>, error: Option<Py<PyAny>>) {
        let (over, before) = {
            let Some(mut lifespans) = self.lifespans() else { return };
            let Some(lifespan) = lifespans.get_mut(&id) else { return };
            if !matches!(lifespan.stage, Stage::Entering { .. }) {
                return;
            }
            let before = std::mem::replace(&mut lifespan.stage, Stage::Entered(state));
            (if error.is_some() { lifespans.remove(&id) } else { None }, before)
        };
        drop(over);
        let Stage::Entering { waiting, entering } = before else { return };
        drop(entering);
        let error = error.map(|error| PyErr::from_value(error.into_bound(py)));
        for waiting in waiting {
            match (waiting, &error) {
                (Waiting::Call(start), None) => start.begin(py, worker),
                (Waiting::Call(start), Some(error)) => fail(py, &start.stream, error),
                (Waiting::Server { entered, .. }, None) => drop(entered.send(Ok(()))),
                (Waiting::Server { entered, raises }, Some(error)) => {
                    let exit = contained_base(py, error);
                    let keep = raises.then_some(|object| LoopOwned::new(object, self.mailbox.sink()));
                    drop(entered.send(Err(Box::new(failure_of(py, exit.as_ref().unwrap_or(error), keep)))));
                }
            }
        }
    }
}

/// What the task that holds a lifespan tells of it.
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
struct Progress {
    worker: Py<LoopWorker>,
    engine: u64,
    number: u64,
    /// The engine's end waits for the task.
    _guard: LifespanGuard,
}

#[python_entry]
#[pymethods]
impl Progress {
    /// The context manager was entered, or failed to be.
    fn entered(&self, py: Python<'_>, state: Py<PyAny>, error: Option<Py<PyAny>>) {
        let worker = self.worker.bind(py);
        worker.get().entered(py, worker, self.engine, state, error);
    }

    /// The context manager has been left.
    fn left(&self) {
        let over = self.worker.get().lifespans().and_then(|mut lifespans| {
            let current = lifespans.get(&self.engine).is_some_and(|lifespan| lifespan.number == self.number);
            if current { lifespans.remove(&self.engine) } else { None }
        });
        drop(over);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.worker)
    }
}

/// The engine is closed and its streams have ended: its lifespans end on every worker.
pub(crate) fn leave_lifespans(engine: u64) {
    for mailbox in super::registry::mailboxes() {
        let leave = LoopWorker::command(move |py, worker| {
            let stop = worker.get().lifespans().and_then(|mut lifespans| {
                let lifespan = lifespans.get_mut(&engine)?;
                let old = std::mem::replace(&mut lifespan.stage, Stage::Leaving);
                Some((lifespan.stop.clone_ref(py), old))
            });
            if let Some((stop, old)) = stop {
                drop(old);
                LoopWorker::resolve(py, stop.bind(py), true);
            }
        });
        drop(mailbox.post(leave));
    }
}
