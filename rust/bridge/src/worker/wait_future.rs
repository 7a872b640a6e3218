//! The future that an asyncio task awaits while it waits for a stream; each wait has one of its own.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;
use smallvec::SmallVec;

use super::wake_batch::{Callback, WakeBatch};
use crate::base::context_vars::copy_context;
use crate::base::interpreter::attribute_by_interned_name;
use crate::base::lock::{Mutex, MutexGuard, lock};
use crate::base::log;

enum State {
    /// These are called when it is done.
    Pending(SmallVec<[Callback; 1]>),
    /// Something may be there now.
    Done,
    /// The task that waits is cancelled, with this message.
    Cancelled(Option<Py<PyAny>>),
}

/// A future of one loop, without a result, as tasks and everything else that waits on that loop take it.
///
/// It is less than `asyncio.Future`: nothing but its task ever sees it, and its callbacks are called by [`WakeBatch`].
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
pub(crate) struct Wait {
    wakes: Py<WakeBatch>,
    blocking: AtomicBool,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    state: Mutex<State>,
}

impl Wait {
    /// One that was just handed to a task.
    pub(crate) fn new<'py>(wakes: &Bound<'py, WakeBatch>) -> PyResult<Bound<'py, Self>> {
        let state = Mutex::new(State::Pending(SmallVec::new()));
        Bound::new(wakes.py(), Self { wakes: wakes.clone().unbind(), blocking: AtomicBool::new(true), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(*self.state(), State::Pending(_))
    }

    /// Wakes the task that waits; on its loop's thread only.
    pub(crate) fn resolve(slf: &Bound<'_, Self>) {
        if let Err(error) = Self::settle(slf, State::Done) {
            log::warning(slf.py(), "worker", "a task that waits could not be woken", &error);
        }
    }

    /// Lets the task that waits go on before this returns; it does nothing if the future is done. The caller is a callback of
    /// the loop.
    ///
    /// # Errors
    /// What a task raises that ends its loop.
    pub(super) fn resolve_at_once(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(callbacks) = slf.get().end(State::Done) else { return Ok(()) };
        callbacks.iter().try_for_each(|callback| callback.call(slf.as_any()))
    }

    /// The callbacks of one that was pending until now.
    fn end(&self, end: State) -> Option<SmallVec<[Callback; 1]>> {
        let mut state = self.state();
        let State::Pending(callbacks) = &mut *state else { return None };
        let callbacks = mem::take(callbacks);
        *state = end;
        Some(callbacks)
    }

    /// False: it was done already.
    fn settle(slf: &Bound<'_, Self>, end: State) -> PyResult<bool> {
        let Some(callbacks) = slf.get().end(end) else { return Ok(false) };
        let wakes = slf.get().wakes.bind(slf.py());
        for callback in callbacks {
            WakeBatch::add(wakes, callback, slf.clone().into_any().unbind())?;
        }
        Ok(true)
    }
}

#[python_entry]
#[pymethods]
impl Wait {
    /// asyncio's C code asks for `result` by a string that it makes for that one call. The interpreter's cache of methods would keep
    /// it, and with it the block of memory around it, among the objects of a request that are freed later.
    fn __getattribute__<'py>(slf: &Bound<'py, Self>, name: Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        attribute_by_interned_name(slf.as_any(), name)
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.wakes.get().event_loop(py).clone()
    }

    #[pyo3(signature = (function, *, context=None))]
    fn add_done_callback(slf: &Bound<'_, Self>, function: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let context = match context {
            Some(context) => context,
            None => copy_context(py)?.unbind(),
        };
        let callback = Callback { function, context };
        if let State::Pending(callbacks) = &mut *slf.get().state() {
            callbacks.push(callback);
            return Ok(());
        }
        WakeBatch::add(slf.get().wakes.bind(py), callback, slf.clone().into_any().unbind())
    }

    fn remove_done_callback(&self, function: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = function.py();
        let callbacks = match &mut *self.state() {
            State::Pending(callbacks) => mem::take(callbacks),
            State::Done | State::Cancelled(_) => return Ok(0),
        };
        let known = callbacks.len();
        let mut kept = SmallVec::<[Callback; 1]>::new();
        for callback in callbacks {
            if !callback.function.bind(py).eq(function)? {
                kept.push(callback);
            }
        }
        let removed = known - kept.len();
        if let State::Pending(callbacks) = &mut *self.state() {
            callbacks.extend(kept);
        }
        Ok(removed)
    }

    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        Self::settle(slf, State::Cancelled(msg))
    }

    fn done(&self) -> bool {
        !self.is_pending()
    }

    fn cancelled(&self) -> bool {
        matches!(*self.state(), State::Cancelled(_))
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match &*self.state() {
            State::Done => Ok(()),
            State::Pending(_) => Err(InvalidStateError::new_err("Result is not set.")),
            State::Cancelled(None) => Err(CancelledError::new_err(())),
            State::Cancelled(Some(message)) => Err(CancelledError::new_err((message.clone_ref(py),))),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }

    fn __repr__(&self) -> &'static str {
        match *self.state() {
            State::Pending(_) => "<pybridge.Wait: pending>",
            State::Done => "<pybridge.Wait: done>",
            State::Cancelled(_) => "<pybridge.Wait: cancelled>",
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.wakes)?;
        match self.state.try_lock().as_deref() {
            Ok(State::Pending(callbacks)) => callbacks.iter().try_for_each(|callback| callback.traverse(&visit)),
            Ok(State::Cancelled(message)) => visit.call(message),
            Ok(State::Done) | Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let old = mem::replace(&mut *self.state(), State::Done);
        drop(old);
    }
}
