//! Coroutines made in Rust: what `await` and asyncio's tasks drive for streams, contexts and engines.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::engine::EngineCore;
use crate::lock::{Mutex, MutexGuard};
use crate::log;
use crate::stream::{PyStream, Reason, StreamCore, Waiter};
use crate::worker::Port;

/// What is awaited.
pub(crate) enum Goal {
    /// The next item.
    Next(Py<PyStream>),
    /// The start.
    Enter(Py<PyStream>),
    /// The end, asked for with this reason.
    Close(Py<PyStream>, Reason),
    /// Whether a stream is cancelled.
    Cancelled(Arc<StreamCore>),
    /// That no stream of an engine is live.
    Idle(Arc<EngineCore>),
}

enum State {
    New,
    /// It is being resumed.
    Running,
    Waiting(Arc<Waiter>),
    /// The awaiting handler was cancelled, and the stream with it, whose cleanup goes first; then this is raised.
    Yielding {
        waiter: Arc<Waiter>,
        cancelled: Py<PyBaseException>,
    },
    Done,
}

impl State {
    fn waiter(&self) -> Option<&Arc<Waiter>> {
        match self {
            Self::Waiting(waiter) | Self::Yielding { waiter, .. } => Some(waiter),
            Self::New | Self::Running | Self::Done => None,
        }
    }
}

/// A coroutine. Nothing happens before it is awaited; cancelling it loses no item.
#[pyclass(frozen, module = "pybridge._pybridge", weakref)]
pub(crate) struct Awaited {
    goal: Goal,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    state: Mutex<State>,
}

impl Awaited {
    pub(crate) fn new(py: Python<'_>, goal: Goal) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, Self { goal, state: Mutex::new(State::New) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream, if the next item is awaited.
    fn read(&self) -> Option<&PyStream> {
        match &self.goal {
            Goal::Next(stream) => Some(stream.get()),
            Goal::Enter(_) | Goal::Close(..) | Goal::Cancelled(_) | Goal::Idle(_) => None,
        }
    }

    /// One look: the result, an error, or `Pending` with the waker noted.
    fn look<'py>(&self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let done = |is_done: bool| {
            if is_done { Poll::Ready(Ok(py.None().into_bound(py))) } else { Poll::Pending }
        };
        match &self.goal {
            Goal::Next(stream) => {
                if let Err(error) = stream.get().start(py) {
                    return Poll::Ready(Err(error));
                }
                stream.get().poll(py, waker)
            }
            Goal::Enter(stream) => Poll::Ready(stream.get().start(py).map(|()| stream.bind(py).clone().into_any())),
            Goal::Close(stream, reason) => {
                stream.get().abandon(*reason);
                done(stream.get().is_over_or_wake(waker))
            }
            Goal::Cancelled(core) => {
                core.poll_cancelled(waker).map(|cancelled| Ok(cancelled.into_pyobject(py)?.to_owned().into_any()))
            }
            Goal::Idle(core) => done(core.is_idle_or_wake(waker)),
        }
    }

    /// Begins a step: it runs until its next state is set.
    fn enter(&self) -> PyResult<State> {
        match mem::replace(&mut *self.state(), State::Running) {
            State::Running => Err(PyValueError::new_err("coroutine already executing")),
            old => Ok(old),
        }
    }

    /// Ends a step: it waits for a future, or is done.
    fn leave<'py>(&self, step: PyResult<(State, Bound<'py, PyAny>)>) -> PyResult<Bound<'py, PyAny>> {
        let (state, result) = match step {
            Ok((state, future)) => (state, Ok(future)),
            Err(error) => (State::Done, Err(error)),
        };
        *self.state() = state;
        result
    }

    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let old = self.enter()?;
        match old.waiter().map_or(Ok(false), |waiter| waiter.is_pending(py)) {
            Ok(false) => self.leave(self.resume(py, old)),
            wrong => {
                *self.state() = old;
                wrong?;
                Err(PyRuntimeError::new_err("await wasn't used with future"))
            }
        }
    }

    fn resume<'py>(&self, py: Python<'py>, old: State) -> PyResult<(State, Bound<'py, PyAny>)> {
        match old {
            State::Done | State::Running => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            State::New => {
                if let Some(stream) = self.read() {
                    if stream.readers.is_reading() {
                        return Err(read_by_another());
                    }
                    stream.readers.come_back(py);
                }
                if let Poll::Ready(result) = self.look(py, None) {
                    return finish(py, result);
                }
                let mailbox = Arc::clone(&running_port(py)?.get().mailbox);
                if self.read().is_some_and(|stream| !stream.readers.begin()) {
                    return Err(read_by_another());
                }
                let waiter = match self.goal {
                    Goal::Idle(_) => Waiter::by_mail(mailbox),
                    Goal::Next(_) | Goal::Enter(_) | Goal::Close(..) | Goal::Cancelled(_) => Waiter::new(mailbox),
                };
                self.look_or_wait(py, waiter)
            }
            State::Waiting(waiter) => self.look_or_wait(py, waiter),
            State::Yielding { waiter, cancelled } => self.give_way(py, waiter, cancelled),
        }
    }

    /// The future to wait for; else the result or an error, raised.
    fn look_or_wait<'py>(&self, py: Python<'py>, waiter: Arc<Waiter>) -> PyResult<(State, Bound<'py, PyAny>)> {
        let waits = wait(py, &waiter).and_then(|(future, waker)| match self.look(py, Some(&waker)) {
            Poll::Ready(result) => finish(py, result),
            Poll::Pending => Ok(future),
        });
        match waits {
            Ok(future) => Ok((State::Waiting(waiter), future)),
            Err(error) => {
                self.forget(&waiter);
                Err(error)
            }
        }
    }

    /// Lets the cancelled stream end before its cancelled reader goes on, as one generator within another would.
    fn give_way<'py>(
        &self,
        py: Python<'py>,
        waiter: Arc<Waiter>,
        cancelled: Py<PyBaseException>,
    ) -> PyResult<(State, Bound<'py, PyAny>)> {
        let (future, waker) = wait(py, &waiter)?;
        if self.read().is_none_or(|stream| stream.has_ended_or_wake(&waker)) {
            self.forget(&waiter);
            return Err(PyErr::from_value(cancelled.into_bound(py).into_any()));
        }
        Ok((State::Yielding { waiter, cancelled }, future))
    }

    /// Nobody waits any more: nothing of the wait is kept.
    fn forget(&self, waiter: &Arc<Waiter>) {
        waiter.disarm();
        let waker = Waker::from(Arc::clone(waiter));
        match &self.goal {
            Goal::Next(stream) => {
                stream.get().readers.end();
                stream.get().forget_closer(&waker);
            }
            Goal::Enter(_) => {}
            Goal::Close(stream, _) => stream.get().forget_closer(&waker),
            Goal::Cancelled(core) => core.forget_cancel_waiter(&waker),
            Goal::Idle(core) => core.forget_idle_waker(&waker),
        }
    }

    fn interrupt<'py>(slf: &Bound<'py, Self>, old: State, error: PyErr) -> PyResult<(State, Bound<'py, PyAny>)> {
        let (py, this) = (slf.py(), slf.get());
        match old {
            State::Waiting(waiter) => {
                this.forget(&waiter);
                let Some(stream) = this.read() else { return Err(error) };
                if error.is_instance_of::<CancelledError>(py) && stream.is_cancelled_with_parent() {
                    return this.give_way(py, waiter, error.into_value(py));
                }
                if let Some(core) = stream.open_core()
                    && let Err(failure) = stream.readers.leave(slf.as_any(), &core, waiter.mailbox())
                {
                    log::warning(py, "stream", "the task that reads a stream cannot be watched", &failure);
                }
                Err(error)
            }
            State::Yielding { waiter, .. } => {
                this.forget(&waiter);
                Err(error)
            }
            State::New | State::Running | State::Done => Err(error),
        }
    }
}

fn read_by_another() -> PyErr {
    PyRuntimeError::new_err("another task is reading this stream")
}

fn running_port(py: Python<'_>) -> PyResult<Bound<'_, Port>> {
    crate::worker::running_port(py)?.ok_or_else(|| {
        PyRuntimeError::new_err("this waits on a running event loop of asyncio; use engine.iter() without one")
    })
}

/// A future for the running task to wait for, and what resolves it.
fn wait<'py>(py: Python<'py>, waiter: &Arc<Waiter>) -> PyResult<(Bound<'py, PyAny>, Waker)> {
    let future = running_port(py)?.get().create_future(py)?;
    future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    let waker = waiter.arm(future.clone().unbind());
    Ok((future, waker))
}

/// A result leaves a coroutine as `StopIteration`.
fn finish<'py, T>(py: Python<'py>, result: PyResult<Bound<'py, PyAny>>) -> PyResult<T> {
    Err(crate::interp::stop_iteration(py, result?))
}

/// An attribute of the Python generator whose frame and code stand for those of coroutines made in Rust.
pub(crate) fn stand_in<'py>(py: Python<'py>, attribute: &str) -> PyResult<Bound<'py, PyAny>> {
    static GENERATOR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GENERATOR.import(py, "pybridge._worker", "rust_coroutine")?.getattr(attribute)
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

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.next(py)
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if value.is_none() {
            self.next(py)
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
    ) -> PyResult<Bound<'py, PyAny>> {
        let error = crate::error::thrown(typ, val, tb)?;
        let old = slf.get().enter()?;
        slf.get().leave(Self::interrupt(slf, old, error))
    }

    fn close(&self) -> PyResult<()> {
        let old = mem::replace(&mut *self.state(), State::Done);
        match old {
            State::Running => {
                *self.state() = State::Running;
                return Err(PyValueError::new_err("coroutine already executing"));
            }
            State::Waiting(waiter) | State::Yielding { waiter, .. } => self.forget(&waiter),
            State::New | State::Done => {}
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
    fn cr_await(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let waiter = self.state().waiter().map(Arc::clone)?;
        waiter.future(py)
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
        self.__qualname__().rsplit('.').next().unwrap_or_default()
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        match self.goal {
            Goal::Next(_) => "Stream.__anext__",
            Goal::Enter(_) => "Stream.__aenter__",
            Goal::Close(..) => "Stream.aclose",
            Goal::Cancelled(_) => "Context.wait_cancelled",
            Goal::Idle(_) => "Engine.until_idle",
        }
    }

    fn __repr__(&self) -> String {
        format!("<coroutine {}>", self.__qualname__())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.goal {
            Goal::Next(stream) | Goal::Enter(stream) | Goal::Close(stream, _) => visit.call(stream)?,
            Goal::Cancelled(_) | Goal::Idle(_) => {}
        }
        match self.state.try_lock().as_deref() {
            Ok(State::Waiting(waiter)) => waiter.traverse(&visit),
            Ok(State::Yielding { waiter, cancelled }) => {
                visit.call(cancelled)?;
                waiter.traverse(&visit)
            }
            Ok(State::New | State::Running | State::Done) | Err(_) => Ok(()),
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
