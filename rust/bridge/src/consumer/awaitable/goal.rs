//! The goals that coroutines made in Rust wait for: an item, a start, an end, a call; and the check for each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::single_call::Single;
use crate::base::fork::check_fork;
use crate::base::runtime::{self, RuntimeError};
use crate::consumer::PyStream;
use crate::error::py_errors::{raise_failure, runtime_error};
use crate::error::{Failure, Reason};
use crate::state::{EngineState, StreamState};
use crate::worker::{LoopWorker, Mailbox, Waiter};

/// What is awaited.
pub(crate) enum Goal {
    /// The next item.
    Next(Py<PyStream>),
    /// The start.
    Enter(Py<PyStream>),
    /// The end, asked for with this reason.
    Close(Py<PyStream>, Reason),
    /// The one item of a call.
    Single(Box<Single>),
    /// Whether a stream is cancelled.
    Cancelled(Arc<StreamState>),
    /// That no stream of an engine is live.
    Idle(Arc<EngineState>),
    /// What something outside this crate comes to.
    Polled(Box<dyn Polled>),
}

/// Something that a coroutine waits for; polled with the interpreter held, on the loop's own thread.
pub trait Polled: Send + Sync {
    /// Name of its coroutines.
    fn name(&self) -> &'static str;

    /// One look: the result, an error, or `Pending` after `waker` was noted. Whatever thread it is woken from, the task that
    /// waits goes on on its loop. Without a waker nobody waits yet.
    fn poll<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>>;

    /// Shows the collector what it refers to.
    ///
    /// # Errors
    /// Those of the collector.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

impl Goal {
    /// The name of its coroutines.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Next(_) => "Stream.__anext__",
            Self::Enter(_) => "Stream.__aenter__",
            Self::Close(..) => "Stream.aclose",
            Self::Single(_) => "Engine.call",
            Self::Cancelled(_) => "Context.wait_cancelled",
            Self::Idle(_) => "Engine.until_idle",
            Self::Polled(polled) => polled.name(),
        }
    }

    /// The stream, if the next item is awaited.
    pub(super) fn read(&self) -> Option<&PyStream> {
        match self {
            Self::Next(stream) => Some(stream.get()),
            Self::Enter(_)
            | Self::Close(..)
            | Self::Single(_)
            | Self::Cancelled(_)
            | Self::Idle(_)
            | Self::Polled(_) => None,
        }
    }

    /// Starts the stream that it is about, if that has not been; gives the worker of the loop that runs here if that was
    /// looked up.
    pub(super) fn start<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, LoopWorker>>> {
        match self {
            Self::Next(stream) | Self::Enter(stream) => stream.get().start(py),
            Self::Single(single) => single.start(py),
            Self::Close(..) | Self::Cancelled(_) | Self::Idle(_) | Self::Polled(_) => Ok(None),
        }
    }

    /// One look: the result, an error, or `Pending` with the waker noted.
    pub(super) fn look<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let done = |is_done: bool| {
            if is_done { Poll::Ready(Ok(py.None().into_bound(py))) } else { Poll::Pending }
        };
        match self {
            Self::Next(stream) => {
                let next = stream.get().poll(py, waker);
                next.map(|next| next?.ok_or_else(|| PyStopAsyncIteration::new_err(())))
            }
            Self::Enter(stream) => Poll::Ready(Ok(stream.bind(py).clone().into_any())),
            Self::Close(stream, reason) => {
                stream.get().abandon(*reason);
                done(stream.get().is_over_or_wake(waker))
            }
            Self::Single(single) => single.look(py, waker),
            Self::Cancelled(stream) => {
                stream.poll_cancelled(waker).map(|cancelled| Ok(cancelled.into_pyobject(py)?.to_owned().into_any()))
            }
            Self::Idle(engine) => done(engine.is_idle_or_wake(waker)),
            Self::Polled(polled) => match check_fork().map_err(RuntimeError::from).and_then(|()| runtime::check_exit())
            {
                Err(error) => Poll::Ready(Err(runtime_error(py, error))),
                Ok(()) => catch_unwind(AssertUnwindSafe(|| polled.poll(py, waker)))
                    .unwrap_or_else(|_panic| Poll::Ready(Err(raise_failure(py, &Failure::panicked())))),
            },
        }
    }

    /// What wakes the task that waits for it on the loop of `mailbox`.
    pub(super) fn waiter(&self, mailbox: Arc<Mailbox>) -> Arc<Waiter> {
        match self {
            Self::Idle(_) => Waiter::by_mail(mailbox),
            Self::Next(_)
            | Self::Enter(_)
            | Self::Close(..)
            | Self::Single(_)
            | Self::Cancelled(_)
            | Self::Polled(_) => Waiter::new(mailbox),
        }
    }

    /// Nobody waits any more: nothing of the wait is kept.
    pub(super) fn forget(&self, waiter: &Arc<Waiter>) {
        waiter.disarm();
        let waker = || Waker::from(Arc::clone(waiter));
        match self {
            Self::Next(stream) => {
                stream.get().readers.end();
                stream.get().forget_closer(&waker());
            }
            Self::Enter(_) | Self::Polled(_) => {}
            Self::Close(stream, _) => stream.get().forget_closer(&waker()),
            Self::Single(single) => single.forget(&waker()),
            Self::Cancelled(stream) => stream.forget_cancel_waiter(&waker()),
            Self::Idle(engine) => engine.forget_idle_waker(&waker()),
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Next(stream) | Self::Enter(stream) | Self::Close(stream, _) => visit.call(stream),
            Self::Single(single) => single.traverse(visit),
            Self::Polled(polled) => polled.traverse(visit),
            Self::Cancelled(_) | Self::Idle(_) => Ok(()),
        }
    }
}
