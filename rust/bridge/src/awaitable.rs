//! What `await` drives for a stream's methods: ready at once, or a future of the running loop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::stream::{PyStream, Reason, Waiter};

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
    Waiting { waiter: Arc<Waiter>, future: Py<PyAny> },
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

    fn set_reading(&self, reading: bool) {
        if self.goal == Goal::Next {
            self.stream.get().set_reading(reading);
        }
    }

    /// One look: the result, an error, or `Pending` with the waker noted.
    fn look<'py>(&self, py: Python<'py>, waiter: Option<&std::task::Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
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
                    return Err(PyRuntimeError::new_err("another task is reading this stream"));
                }
                match self.look(py, None) {
                    Poll::Ready(result) => return finish(py, result),
                    Poll::Pending => None,
                }
            }
            State::Waiting { waiter, future } => {
                if !future.bind(py).call_method0(intern!(py, "done"))?.is_truthy()? {
                    *self.state() = State::Waiting { waiter, future };
                    return Err(PyRuntimeError::new_err("await wasn't used with future"));
                }
                Some(waiter)
            }
        };
        let port = crate::worker::running_port(py)?.ok_or_else(|| {
            PyRuntimeError::new_err("a stream is read on a running event loop; use engine.iter() without one")
        })?;
        let waiter = waiter.unwrap_or_else(|| Waiter::new(Arc::clone(&port.get().mailbox)));
        let future = port.get().create_future(py)?;
        let waker = waiter.arm(future.clone().unbind());
        match self.look(py, Some(&waker)) {
            Poll::Ready(result) => {
                waiter.disarm();
                self.set_reading(false);
                finish(py, result)
            }
            Poll::Pending => {
                future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                *self.state() = State::Waiting { waiter, future: future.clone().unbind() };
                self.set_reading(true);
                Ok(future)
            }
        }
    }
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
        self.close();
        Err(crate::error::thrown(typ, val, tb)?)
    }

    fn close(&self) {
        let old = std::mem::replace(&mut *self.state(), State::Done);
        if let State::Waiting { waiter, .. } = old {
            waiter.disarm();
            self.set_reading(false);
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
