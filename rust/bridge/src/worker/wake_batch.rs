//! Wake-ups of tasks on one event loop: all those of a turn by one callback of the loop.

use std::mem;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::loop_calls::LoopCalls;
use crate::base::context_vars::call_in_context;
use crate::base::lock::{Mutex, MutexGuard, lock};

/// Something to be called with one argument, in its own context.
pub(crate) struct Callback {
    pub(crate) function: Py<PyAny>,
    pub(crate) context: Py<PyAny>,
}

impl Callback {
    pub(super) fn call(&self, argument: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = argument.py();
        call_in_context(self.context.bind(py), self.function.bind(py), argument).map(drop)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        visit.call(&self.context)
    }
}

/// What is due, and the loop that is to call it.
///
/// A loop's own way takes an object and several calls of Python for each callback, which is most of what a wake costs.
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
pub(crate) struct WakeBatch {
    pub(super) calls: LoopCalls,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    due: Mutex<Vec<(Callback, Py<PyAny>)>>,
}

impl WakeBatch {
    pub(super) fn new<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        Bound::new(event_loop.py(), Self { calls: LoopCalls::of(event_loop)?, due: Mutex::default() })
    }

    pub(crate) fn event_loop<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.calls.event_loop(py)
    }

    fn due(&self) -> MutexGuard<'_, Vec<(Callback, Py<PyAny>)>> {
        lock(&self.due)
    }

    /// Has `callback` called with `argument` in the loop's next turn. On the loop's thread only.
    pub(crate) fn add(slf: &Bound<'_, Self>, callback: Callback, argument: Py<PyAny>) -> PyResult<()> {
        let this = slf.get();
        let first = {
            let mut due = this.due();
            due.push((callback, argument));
            due.len() == 1
        };
        if first { Self::schedule(slf) } else { Ok(()) }
    }

    fn schedule(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().calls.call_soon(slf, None).inspect_err(|_| {
            // The loop is closed: nobody will be called any more.
            let lost = mem::take(&mut *slf.get().due());
            drop(lost);
        })
    }
}

#[python_entry]
#[pymethods]
impl WakeBatch {
    /// Calls what is due. What raises ends the turn, as a callback of the loop does; the rest is called in the next one.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let mut due = mem::take(&mut *this.due()).into_iter();
        while let Some((callback, argument)) = due.next() {
            if let Err(error) = callback.call(argument.bind(py)) {
                let is_scheduled = {
                    let mut later = this.due();
                    let is_scheduled = !later.is_empty();
                    later.splice(..0, due);
                    is_scheduled || later.is_empty()
                };
                if !is_scheduled {
                    Self::schedule(slf)?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.calls.traverse(&visit)?;
        let Ok(due) = self.due.try_lock() else { return Ok(()) };
        for (callback, argument) in &*due {
            callback.traverse(&visit)?;
            visit.call(argument)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let lost = mem::take(&mut *self.due());
        drop(lost);
    }
}
