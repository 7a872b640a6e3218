//! `Awaited`, the Python coroutine object that is made in Rust: its states and its steps.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::goal::Goal;
use crate::base::coroutine_introspection::{stand_in, state_name};
use crate::base::interpreter::{is_unshared, stop_iteration};
use crate::base::lock::{Mutex, MutexGuard, lock};
use crate::base::log;
use crate::consumer::PyStream;
use crate::worker::{LoopWorker, Wait, Waiter};

enum State {
    New(Goal),
    /// It is being resumed.
    Running,
    Waiting(Goal, Arc<Waiter>),
    /// The awaiting handler was cancelled, and the stream with it, whose cleanup goes first; then this is raised.
    Yielding {
        goal: Goal,
        waiter: Arc<Waiter>,
        cancelled: Py<PyBaseException>,
    },
    /// It is done, and whoever resumed it has yet to take the result.
    Returned(Py<PyAny>),
    Done,
}

impl State {
    fn waiter(&self) -> Option<&Arc<Waiter>> {
        match self {
            Self::Waiting(_, waiter) | Self::Yielding { waiter, .. } => Some(waiter),
            Self::New(_) | Self::Running | Self::Returned(_) | Self::Done => None,
        }
    }
}

/// What a step came to, unless it raised.
enum Step<'py> {
    /// It waits for this future.
    Waits(State, Bound<'py, PyAny>),
    /// It has its result.
    Returns(Bound<'py, PyAny>),
}

/// A coroutine. Nothing happens before it is awaited; cancelling it loses no item.
#[pyclass(frozen, module = "pybridge._pybridge", weakref)]
pub(crate) struct Awaited {
    name: &'static str,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    state: Mutex<State>,
    /// The next step hands its result out as it is.
    expects_result: AtomicBool,
}

impl Awaited {
    pub(crate) fn new(py: Python<'_>, goal: Goal) -> PyResult<Bound<'_, Self>> {
        let name = goal.name();
        Bound::new(py, Self { name, state: Mutex::new(State::New(goal)), expects_result: AtomicBool::new(false) })
    }

    /// A coroutine for the next item of `stream`: the last one, if it is done and nobody else has it.
    pub(crate) fn next<'py>(stream: &Bound<'py, PyStream>) -> PyResult<Bound<'py, Self>> {
        let py = stream.py();
        let goal = Goal::Next(stream.clone().unbind());
        match stream.get().take_spare() {
            Some(spare) if is_unshared(py, &spare) => {
                *spare.get().state() = State::New(goal);
                Ok(spare.into_bound(py))
            }
            _ => Self::new(py, goal),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The next step hands its result to [`Self::take_result`] instead of raising it.
    pub(super) fn expect_result(&self) {
        self.expects_result.store(true, Ordering::Relaxed);
    }

    /// The result that the last step has left, if it has.
    pub(super) fn take_result(&self) -> Option<Py<PyAny>> {
        let mut state = self.state();
        if !matches!(*state, State::Returned(_)) {
            return None;
        }
        match mem::replace(&mut *state, State::Done) {
            State::Returned(result) => Some(result),
            _ => None,
        }
    }

    /// Begins a step: it runs until its next state is set.
    fn enter(&self) -> PyResult<State> {
        match mem::replace(&mut *self.state(), State::Running) {
            State::Running => Err(PyValueError::new_err("coroutine already executing")),
            old => Ok(old),
        }
    }

    /// Ends a step. `None`: the result is there to be taken.
    fn leave<'py>(
        &self,
        py: Python<'py>,
        step: PyResult<Step<'py>>,
        expects_result: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (state, outcome) = match step {
            Ok(Step::Waits(state, future)) => (state, Ok(Some(future))),
            Ok(Step::Returns(result)) if expects_result => (State::Returned(result.unbind()), Ok(None)),
            Ok(Step::Returns(result)) => (State::Done, Err(stop_iteration(py, result))),
            Err(error) => (State::Done, Err(error)),
        };
        *self.state() = state;
        outcome
    }

    fn step<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        let expects_result = this.expects_result.swap(false, Ordering::Relaxed);
        let old = this.enter()?;
        if old.waiter().is_some_and(|waiter| waiter.is_pending(py)) {
            *this.state() = old;
            return Err(PyRuntimeError::new_err("await wasn't used with future"));
        }
        this.leave(py, Self::resume(slf, old), expects_result)
    }

    fn resume<'py>(slf: &Bound<'py, Self>, old: State) -> PyResult<Step<'py>> {
        let py = slf.py();
        match old {
            State::Done | State::Running | State::Returned(_) => {
                Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"))
            }
            State::New(mut goal) => {
                if let Some(stream) = goal.read() {
                    if stream.readers.is_reading() {
                        return Err(read_by_another());
                    }
                    stream.readers.come_back(py);
                }
                let worker = goal.start(py)?;
                if let Poll::Ready(result) = goal.look(py, None) {
                    return Self::finish(slf, goal, result);
                }
                let worker = worker.map_or_else(|| running_worker(py), Ok)?;
                if goal.read().is_some_and(|stream| !stream.readers.begin()) {
                    return Err(read_by_another());
                }
                let waiter = goal.waiter(Arc::clone(&worker.get().mailbox));
                Self::wait(slf, &worker, goal, waiter)
            }
            State::Waiting(mut goal, waiter) => match goal.look(py, None) {
                Poll::Ready(result) => {
                    goal.forget(&waiter);
                    Self::finish(slf, goal, result)
                }
                Poll::Pending => Self::wait_again(slf, goal, waiter),
            },
            State::Yielding { goal, waiter, cancelled } => Self::give_way(py, goal, waiter, cancelled),
        }
    }

    fn wait_again<'py>(slf: &Bound<'py, Self>, goal: Goal, waiter: Arc<Waiter>) -> PyResult<Step<'py>> {
        match running_worker(slf.py()) {
            Ok(worker) => Self::wait(slf, &worker, goal, waiter),
            Err(error) => {
                goal.forget(&waiter);
                Err(error)
            }
        }
    }

    /// The future to wait for; else the result or an error.
    fn wait<'py>(
        slf: &Bound<'py, Self>,
        worker: &Bound<'py, LoopWorker>,
        mut goal: Goal,
        waiter: Arc<Waiter>,
    ) -> PyResult<Step<'py>> {
        let py = slf.py();
        let result = match arm(worker, &waiter) {
            Ok((future, waker)) => match goal.look(py, Some(&waker)) {
                Poll::Pending => return Ok(Step::Waits(State::Waiting(goal, waiter), future)),
                Poll::Ready(result) => result,
            },
            Err(error) => Err(error),
        };
        goal.forget(&waiter);
        Self::finish(slf, goal, result)
    }

    /// It is done. A read is kept for the next one, if nobody else keeps it.
    fn finish<'py>(slf: &Bound<'py, Self>, goal: Goal, result: PyResult<Bound<'py, PyAny>>) -> PyResult<Step<'py>> {
        let result = result?;
        if let Some(stream) = goal.read() {
            stream.keep_spare(slf);
        }
        Ok(Step::Returns(result))
    }

    /// Lets the cancelled stream end before its cancelled reader goes on, as one generator within another would.
    fn give_way(py: Python<'_>, goal: Goal, waiter: Arc<Waiter>, cancelled: Py<PyBaseException>) -> PyResult<Step<'_>> {
        let (future, waker) = arm(&running_worker(py)?, &waiter)?;
        if goal.read().is_none_or(|stream| stream.has_ended_or_wake(&waker)) {
            goal.forget(&waiter);
            return Err(PyErr::from_value(cancelled.into_bound(py).into_any()));
        }
        Ok(Step::Waits(State::Yielding { goal, waiter, cancelled }, future))
    }

    fn interrupt<'py>(slf: &Bound<'py, Self>, old: State, error: PyErr) -> PyResult<Step<'py>> {
        let py = slf.py();
        match old {
            State::Waiting(mut goal, waiter) => {
                goal.forget(&waiter);
                if let Goal::Single(single) = &mut goal {
                    single.interrupt(py, error)?;
                    return Self::wait_again(slf, goal, waiter);
                }
                let Some(stream) = goal.read() else { return Err(error) };
                if error.is_instance_of::<CancelledError>(py) && stream.is_cancelled_with_parent() {
                    return Self::give_way(py, goal, waiter, error.into_value(py));
                }
                if let Some(open) = stream.open_stream()
                    && let Err(failure) = stream.readers.leave(slf.as_any(), &open, waiter.mailbox())
                {
                    log::warning(py, "stream", "the task that reads a stream cannot be watched", &failure);
                }
                Err(error)
            }
            State::Yielding { goal, waiter, .. } => {
                goal.forget(&waiter);
                Err(error)
            }
            State::New(_) | State::Running | State::Returned(_) | State::Done => Err(error),
        }
    }
}

fn read_by_another() -> PyErr {
    PyRuntimeError::new_err("another task is reading this stream")
}

fn running_worker(py: Python<'_>) -> PyResult<Bound<'_, LoopWorker>> {
    crate::worker::running_worker(py)?.ok_or_else(|| {
        PyRuntimeError::new_err("this waits on a running event loop of asyncio; use engine.iter() without one")
    })
}

/// A future for the running task to wait for, and what resolves it.
fn arm<'py>(worker: &Bound<'py, LoopWorker>, waiter: &Arc<Waiter>) -> PyResult<(Bound<'py, PyAny>, Waker)> {
    let wait = Wait::new(worker.get().wakes(worker.py()))?;
    let waker = waiter.arm(wait.clone().unbind());
    Ok((wait.into_any(), waker))
}

#[python_entry]
#[pymethods]
impl Awaited {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::step(slf)
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if value.is_none() {
            Self::step(slf)
        } else {
            Err(PyTypeError::new_err("can't send non-None value to a coroutine made in Rust"))
        }
    }

    #[pyo3(signature = (typ, val=None, tb=None))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let error = crate::error::py_errors::thrown(typ, val, tb)?;
        let old = slf.get().enter()?;
        slf.get().leave(slf.py(), Self::interrupt(slf, old, error), false)
    }

    fn close(&self) -> PyResult<()> {
        let old = mem::replace(&mut *self.state(), State::Done);
        match old {
            State::Running => {
                *self.state() = State::Running;
                return Err(PyValueError::new_err("coroutine already executing"));
            }
            State::Waiting(goal, waiter) | State::Yielding { goal, waiter, .. } => goal.forget(&waiter),
            State::New(_) | State::Returned(_) | State::Done => {}
        }
        Ok(())
    }

    #[getter]
    fn cr_running(&self) -> bool {
        matches!(*self.state(), State::Running)
    }

    #[getter]
    fn cr_suspended(&self) -> bool {
        self.state().waiter().is_some()
    }

    #[getter]
    fn cr_state(&self) -> &'static str {
        state_name(self.cr_running(), self.cr_suspended(), matches!(*self.state(), State::Done))
    }

    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<Wait>> {
        let waiter = self.state().waiter().map(Arc::clone)?;
        waiter.wait(py)
    }

    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let is_done = matches!(*self.state(), State::Done);
        if is_done { Ok(None) } else { stand_in(py, "gi_frame").map(Some) }
    }

    #[getter]
    #[expect(clippy::unused_self, reason = "all have the same")]
    fn cr_code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stand_in(py, "gi_code")
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.name
    }

    fn __repr__(&self) -> String {
        format!("<coroutine {}>", self.name)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.state.try_lock().as_deref() {
            Ok(State::New(goal)) => goal.traverse(&visit),
            Ok(State::Waiting(goal, waiter)) => {
                goal.traverse(&visit)?;
                waiter.traverse(&visit)
            }
            Ok(State::Yielding { goal, waiter, cancelled }) => {
                goal.traverse(&visit)?;
                visit.call(cancelled)?;
                waiter.traverse(&visit)
            }
            Ok(State::Returned(result)) => visit.call(result),
            Ok(State::Running | State::Done) | Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        drop(self.close());
    }
}

#[python_entry]
impl Drop for Awaited {
    fn drop(&mut self) {
        drop(self.close());
    }
}
