//! The coroutine of a stream, as asyncio sees it; its steps are those of [`super::state_machine`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::handler::HasHandler;
use super::state_machine::StateMachine;
use crate::base::coroutine_introspection::{stand_in, state_name};
use crate::base::lock::{Mutex, lock};
use crate::state::{StartRequest, StreamState};
use crate::worker::{self, LoopWorker, ThreadCell};

/// Runs one async generator to its end, as the coroutine of one asyncio task.
///
/// It loops in Rust while items are ready and encodes each before the generator is resumed; it returns to asyncio only
/// when the handler waits, when the consumer's credit is used up, or to let other tasks run.
#[pyclass(frozen, module = "pybridge._pybridge", weakref)]
pub(crate) struct Driver {
    pub(crate) stream: Arc<StreamState>,
    pub(crate) worker: Py<LoopWorker>,
    machine: ThreadCell<StateMachine>,
    name: String,
    /// The generator, for introspection from any thread.
    pub(super) generator: Mutex<Option<Py<PyAny>>>,
    context: OnceLock<Py<PyAny>>,
}

impl Driver {
    pub(super) fn new<'py>(
        py: Python<'py>,
        worker: &Bound<'py, LoopWorker>,
        start: StartRequest,
        engine: &impl HasHandler,
    ) -> PyResult<Bound<'py, Self>> {
        let stream = Arc::clone(&start.stream);
        let name = stream.engine.name.clone();
        let machine = ThreadCell::new(StateMachine::new(py, worker, start, engine)?);
        let worker = worker.clone().unbind();
        Bound::new(py, Self { stream, worker, machine, name, generator: Mutex::new(None), context: OnceLock::new() })
    }

    /// The handler's `Context`, made by `make` when first asked for.
    pub(crate) fn context(&self, make: impl FnOnce() -> PyResult<Py<PyAny>>) -> PyResult<&Py<PyAny>> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let fresh = make()?;
        Ok(self.context.get_or_init(|| fresh))
    }

    fn step<'py>(slf: &Bound<'py, Self>, input: Option<PyErr>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let this = slf.get();
        if !this.machine.is_owner_thread() && !this.follow_loop(slf.py())? {
            return Err(PyRuntimeError::new_err("a stream's coroutine runs on its worker's thread only"));
        }
        let Some(mut machine) = this.machine.borrow() else {
            return Err(PyValueError::new_err("coroutine already executing"));
        };
        let contained = |result: std::thread::Result<_>| {
            result.inspect_err(|_panic| {
                this.stream.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
            })
        };
        let turn = contained(catch_unwind(AssertUnwindSafe(|| machine.run(slf, input))))
            .or_else(|_| contained(catch_unwind(AssertUnwindSafe(|| machine.fail_internally(slf)))))
            .unwrap_or_else(|_| {
                machine.give_up(slf);
                Ok(None)
            });
        let kept = machine.take_kept_of_ended();
        drop(machine);
        // A timer of the loop may keep the finished driver for long.
        drop(kept);
        turn
    }

    /// True if the worker's loop runs on this thread, on which it did not run before.
    fn follow_loop(&self, py: Python<'_>) -> PyResult<bool> {
        let here = worker::running_worker(py)?.is_some_and(|worker| worker.is(&self.worker));
        if here {
            self.machine.adopt(py);
        }
        Ok(here)
    }

    fn ag_attribute<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, pyo3::types::PyString>,
    ) -> Option<Bound<'py, PyAny>> {
        let generator = lock(&self.generator).as_ref()?.clone_ref(py);
        generator.bind(py).getattr(name).ok()
    }
}

#[python_entry]
impl Drop for Driver {
    /// A coroutine that nobody runs to its end must not leave its consumer waiting.
    fn drop(&mut self) {
        if !self.stream.is_released() {
            self.stream.lose_worker();
        }
    }
}

#[python_entry]
#[pymethods]
impl Driver {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::step(slf, None)
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if !value.is_none() {
            return Err(PyTypeError::new_err("can't send non-None value to a stream's coroutine"));
        }
        Self::step(slf, None)?.ok_or_else(|| pyo3::exceptions::PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (typ, val=None, tb=None))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let error = crate::error::py_errors::thrown(typ, val, tb)?;
        Self::step(slf, Some(error))?.ok_or_else(|| pyo3::exceptions::PyStopIteration::new_err(()))
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(machine) = slf.get().machine.borrow() else { return Ok(()) };
        if machine.is_done() {
            return Ok(());
        }
        drop(machine);
        slf.get().stream.note_external();
        match Self::step(slf, Some(pyo3::exceptions::PyGeneratorExit::new_err(()))) {
            Ok(Some(_)) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
            Ok(None) => Ok(()),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyGeneratorExit>(slf.py()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.worker)?;
        visit.call(self.context.get())?;
        if let Ok(generator) = self.generator.try_lock() {
            visit.call(&*generator)?;
        }
        self.machine.look().map_or(Ok(()), |machine| machine.traverse(&visit))
    }

    #[getter]
    fn cr_frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.machine.look().is_some_and(|machine| machine.is_done()) {
            return Ok(None);
        }
        match self.ag_attribute(py, intern!(py, "ag_frame")).filter(|frame| !frame.is_none()) {
            Some(frame) => Ok(Some(frame)),
            None => stand_in(py, "gi_frame").map(Some),
        }
    }

    #[getter]
    fn cr_code<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ag_attribute(py, intern!(py, "ag_code"))
    }

    #[getter]
    fn cr_await<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.ag_attribute(py, intern!(py, "ag_await"))
    }

    #[getter]
    fn cr_running(&self) -> bool {
        self.machine.is_owner_thread() && self.machine.borrow().is_none()
    }

    #[getter]
    fn cr_suspended(&self) -> bool {
        self.machine.look().is_some_and(|machine| machine.is_suspended())
    }

    #[getter]
    fn cr_state(&self) -> &'static str {
        let done = self.machine.look().is_some_and(|machine| machine.is_done());
        state_name(self.cr_running(), self.cr_suspended(), done)
    }

    #[getter]
    fn __name__(&self) -> &str {
        &self.name
    }

    #[getter]
    fn __qualname__(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<stream {} of {}>", self.stream.id, self.name)
    }
}
