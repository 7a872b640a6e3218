//! A call that gives exactly one item: its stream is read to the end, and abandoned if that fails.

use std::task::{Poll, Waker};

use pyo3::exceptions::{PyBaseException, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::consumer::PyStream;
use crate::error::Reason;
use crate::worker::LoopWorker;

/// The stream of one call, which nobody else reads.
pub(crate) struct Single {
    stream: PyStream,
    progress: Progress,
}

enum Progress {
    /// It is read; the item, once there is one.
    Reading(Option<Py<PyAny>>),
    /// It was abandoned, and its handler cleans up; then this is raised.
    Leaving(Py<PyBaseException>),
}

impl Single {
    pub(crate) fn new(stream: PyStream) -> Box<Self> {
        Box::new(Self { stream, progress: Progress::Reading(None) })
    }

    pub(super) fn start<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, LoopWorker>>> {
        self.stream.start(py)
    }

    pub(super) fn look<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        loop {
            let item = match &mut self.progress {
                Progress::Reading(item) => item,
                Progress::Leaving(error) if self.stream.is_over_or_wake(waker) => {
                    return Poll::Ready(Err(PyErr::from_value(error.bind(py).clone().into_any())));
                }
                Progress::Leaving(_) => return Poll::Pending,
            };
            match self.stream.poll(py, waker) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(None)) => {
                    let item = item.take().map(|item| item.into_bound(py));
                    return Poll::Ready(item.ok_or_else(|| self.wrong_count("gave no item")));
                }
                Poll::Ready(Ok(Some(first))) if item.is_none() => *item = Some(first.unbind()),
                Poll::Ready(Ok(Some(_))) => {
                    let error = self.wrong_count("gave more than one item: iterate over engine(request)");
                    self.leave(py, error);
                }
                Poll::Ready(Err(error)) => self.leave(py, error),
            }
        }
    }

    /// Breaks off because of `error`, which is raised once the handler has ended. An error while that is waited for comes
    /// back, to be raised at once.
    pub(super) fn interrupt(&mut self, py: Python<'_>, error: PyErr) -> Result<(), PyErr> {
        if let Progress::Leaving(first) = &self.progress {
            if error.context(py).is_none() && !error.value(py).is(first) {
                error.set_context(py, Some(PyErr::from_value(first.bind(py).clone().into_any())));
            }
            return Err(error);
        }
        self.leave(py, error);
        Ok(())
    }

    fn leave(&mut self, py: Python<'_>, error: PyErr) {
        self.stream.abandon(Reason::Caller);
        self.progress = Progress::Leaving(error.into_value(py));
    }

    fn wrong_count(&self, what: &str) -> PyErr {
        PyValueError::new_err(format!("{} {what}", self.stream.engine_name()))
    }

    /// Whoever has this waker waits no more.
    pub(super) fn forget(&self, waker: &Waker) {
        if matches!(self.progress, Progress::Leaving(_)) {
            self.stream.forget_closer(waker);
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.stream.traverse(visit)?;
        match &self.progress {
            Progress::Reading(item) => visit.call(item),
            Progress::Leaving(error) => visit.call(error),
        }
    }
}
