//! What `await` drives for a stream's methods: ready at once, or a future of the running loop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::stream::{PyStream, Reason, Waiter};
use crate::worker::Port;

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The next item.
    Next,
    /// The start.
    Enter,
    /// The end.
    Close,
}

enum State {
    New,
    Waiting {
        waiter: Arc<Waiter>,
        future: Py<PyAny>,
    },
    /// The awaiting handler was cancelled, and the stream with it, whose cleanup goes first; then this is raised.
    Yielding {
        waiter: Arc<Waiter>,
        cancelled: PyErr,
    },
    Done,
}

/// An awaitable of a stream. Nothing happens before it is awaited; cancelling it loses no item.
#[pyclass(frozen, module = "pybridge._pybridge")]
pub(crate) struct Awaited {
    stream: Py<PyStream>,
    goal: Goal,
    state: Mutex<State>,
}

impl Awaited {
    pub(crate) fn new<'py>(stream: &Bound<'py, PyStream>, goal: Goal) -> PyResult<Bound<'py, Self>> {
        Bound::new(stream.py(), Self { stream: stream.clone().unbind(), goal, state: Mutex::new(State::New) })
    }

    pub(crate) fn next<'py>(stream: &Bound<'py, PyStream>) -> PyResult<Bound<'py, Self>> {
        Self::new(stream, Goal::Next)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_reading(&self) -> PyResult<()> {
        if self.goal != Goal::Next || self.stream.get().begin_reading() { Ok(()) } else { Err(read_by_another()) }
    }

    fn end_reading(&self) {
        if self.goal == Goal::Next {
            self.stream.get().end_reading();
        }
    }

    /// One look: the result, an error, or `Pending` with the waker noted.
    fn look<'py>(&self, py: Python<'py>, waiter: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let stream = self.stream.get();
        match self.goal {
            Goal::Next => {
                if let Err(error) = stream.start(py) {
                    return Poll::Ready(Err(error));
                }
                stream.poll(py, waiter)
            }
            Goal::Enter => Poll::Ready(stream.start(py).map(|()| self.stream.bind(py).clone().into_any())),
            Goal::Close => {
                stream.abandon(Reason::Caller);
                if stream.is_over_or_wake(waiter) { Poll::Ready(Ok(py.None().into_bound(py))) } else { Poll::Pending }
            }
        }
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let old = std::mem::replace(&mut *self.state(), State::Done);
        let waiter = match old {
            State::Done => return Err(PyRuntimeError::new_err("cannot reuse already awaited stream operation")),
            State::New => {
                if self.goal == Goal::Next && self.stream.get().is_being_read() {
                    return Err(read_by_another());
                }
                if let Poll::Ready(result) = self.look(py, None) {
                    return finish(py, result);
                }
                self.begin_reading()?;
                None
            }
            State::Waiting { waiter, future } => {
                if !future.bind(py).call_method0(intern!(py, "done"))?.is_truthy()? {
                    *self.state() = State::Waiting { waiter, future };
                    return Err(PyRuntimeError::new_err("await wasn't used with future"));
                }
                Some(waiter)
            }
            State::Yielding { waiter, cancelled } => return self.give_way(py, waiter, cancelled),
        };
        self.look_or_wait(py, waiter).inspect_err(|_| self.end_reading())
    }

    /// The future to wait for; else the result or an error, raised.
    fn look_or_wait<'py>(&self, py: Python<'py>, waiter: Option<Arc<Waiter>>) -> PyResult<Bound<'py, PyAny>> {
        let port = running_port(py)?;
        let waiter = waiter.unwrap_or_else(|| Waiter::new(Arc::clone(&port.get().mailbox)));
        let (future, waker) = wait(py, &port, &waiter)?;
        match self.look(py, Some(&waker)) {
            Poll::Ready(result) => {
                waiter.disarm();
                finish(py, result)
            }
            Poll::Pending => {
                *self.state() = State::Waiting { waiter, future: future.clone().unbind() };
                Ok(future)
            }
        }
    }

    /// Lets the cancelled stream end before its cancelled reader goes on, as one generator within another would.
    fn give_way<'py>(&self, py: Python<'py>, waiter: Arc<Waiter>, cancelled: PyErr) -> PyResult<Bound<'py, PyAny>> {
        let (future, waker) = wait(py, &running_port(py)?, &waiter)?;
        if self.stream.get().has_ended_or_wake(&waker) {
            waiter.disarm();
            return Err(cancelled);
        }
        *self.state() = State::Yielding { waiter, cancelled };
        Ok(future)
    }
}

fn read_by_another() -> PyErr {
    PyRuntimeError::new_err("another task is reading this stream")
}

fn running_port(py: Python<'_>) -> PyResult<Bound<'_, Port>> {
    crate::worker::running_port(py)?.ok_or_else(|| {
        PyRuntimeError::new_err("a stream is read on a running event loop of asyncio; use engine.iter() without one")
    })
}

/// A future for the running task to wait for, and what resolves it.
fn wait<'py>(py: Python<'py>, port: &Bound<'py, Port>, waiter: &Arc<Waiter>) -> PyResult<(Bound<'py, PyAny>, Waker)> {
    let future = port.get().create_future(py)?;
    future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    let waker = waiter.arm(future.clone().unbind());
    Ok((future, waker))
}

/// A result leaves an awaitable as `StopIteration`.
fn finish<'py>(py: Python<'py>, result: PyResult<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    Err(crate::interp::stop_iteration(py, result?))
}

#[pymethods]
impl Awaited {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if value.is_none() {
            self.step(py)
        } else {
            Err(PyTypeError::new_err("can't send non-None value to a stream's awaitable"))
        }
    }

    #[pyo3(signature = (typ, val=None, tb=None))]
    fn throw<'py>(
        &self,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let error = crate::error::thrown(typ, val, tb)?;
        let old = std::mem::replace(&mut *self.state(), State::Done);
        if let State::Waiting { waiter, .. } | State::Yielding { waiter, .. } = &old {
            waiter.disarm();
            self.end_reading();
        }
        match old {
            State::Waiting { waiter, .. }
                if self.goal == Goal::Next
                    && error.is_instance_of::<CancelledError>(typ.py())
                    && self.stream.get().is_cancelled_with_parent() =>
            {
                self.give_way(typ.py(), waiter, error)
            }
            _ => Err(error),
        }
    }

    fn close(&self) {
        let old = std::mem::replace(&mut *self.state(), State::Done);
        if let State::Waiting { waiter, .. } | State::Yielding { waiter, .. } = old {
            waiter.disarm();
            self.end_reading();
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stream)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.close();
    }
}
