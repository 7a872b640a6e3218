//! pybridge's own worker threads. Their Python half is `pybridge/_worker.py`.

use std::sync::{Arc, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::commands;
use super::info::WorkerKind;
use super::loop_worker::LoopWorker;
use super::mailbox::Mailbox;
use super::running_loop::register;
use crate::base::lock::{Mutex, lock};
use crate::base::log;
use crate::state::CommandSink;

static SHARED: Mutex<Option<Py<PyWorker>>> = Mutex::new(None);

/// A thread with an event loop of its own, started at first use. Engines that are given the same object share it; the
/// thread ends when neither the object nor one of them is left.
#[pyclass(frozen, name = "Worker", module = "pybridge._pybridge", weakref)]
pub(crate) struct PyWorker {
    loop_kind: &'static str,
    cpu: Option<usize>,
    name: String,
    /// The Python object that owns the thread, once started.
    thread: Mutex<Option<(Py<PyAny>, Py<LoopWorker>)>>,
}

impl PyWorker {
    /// The mailbox of the worker, which is started if it was not.
    pub(crate) fn mailbox(&self, py: Python<'_>) -> PyResult<Arc<Mailbox>> {
        let known = self.thread().as_ref().map(|(_, worker)| worker.clone_ref(py));
        let worker = match known {
            Some(worker) => worker,
            None => self.start(py)?,
        };
        let mailbox = &worker.get().mailbox;
        if !mailbox.is_open() {
            return Err(
                crate::error::py_errors::Class::EngineClosed.error(py, (format!("worker {} has stopped", self.name),))
            );
        }
        Ok(Arc::clone(mailbox))
    }

    fn thread(&self) -> crate::base::lock::MutexGuard<'_, Option<(Py<PyAny>, Py<LoopWorker>)>> {
        lock(&self.thread)
    }

    fn start(&self, py: Python<'_>) -> PyResult<Py<LoopWorker>> {
        crate::base::runtime::start().map_err(|error| crate::error::py_errors::runtime_error(py, error))?;
        let arguments = (self.loop_kind, self.cpu, self.name.as_str());
        let thread = py.import("pybridge._worker")?.call_method1("start", arguments)?;
        let worker = thread.getattr("port")?.cast_into::<LoopWorker>()?.unbind();
        let mut slot = self.thread();
        if let Some((_, first)) = &*slot {
            // Another thread was faster while this one waited; its worker stands.
            let first = first.clone_ref(py);
            drop(slot);
            thread.call_method0("stop")?;
            return Ok(first);
        }
        *slot = Some((thread.unbind(), worker.clone_ref(py)));
        Ok(worker)
    }
}

#[python_entry]
impl Drop for PyWorker {
    /// No engine has the worker, so none of its streams is live: its thread ends.
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some((_thread, worker)) = thread.take() else { return };
        let retire = LoopWorker::command(|py, worker| {
            if let Err(error) = worker.get().retire(py) {
                log::warning(py, "worker", "a worker that nobody has could not be stopped", &error);
            }
        });
        drop(worker.get().mailbox.post(retire));
    }
}

/// The name of a kind of event loop.
struct LoopKind(&'static str);

impl FromPyObject<'_, '_> for LoopKind {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let name = given.extract::<&str>().unwrap_or_default();
        if let Some(kind) = ["asyncio", "uvloop"].into_iter().find(|kind| *kind == name) {
            return Ok(Self(kind));
        }
        Err(refused(given.py(), "loop", format!("must be 'asyncio' or 'uvloop', not {}", given.repr()?)))
    }
}

#[python_entry]
#[pymethods]
impl PyWorker {
    #[new]
    #[pyo3(
        signature = (r#loop=LoopKind("asyncio"), cpu=None, name=None),
        text_signature = "(loop='asyncio', cpu=None, name=None)"
    )]
    fn new(
        py: Python<'_>,
        r#loop: LoopKind,
        cpu: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let cpu = cpu.map(|cpu| {
            let wrong = |_| refused(py, "cpu", format!("must be the number of a processor, not {cpu:?}"));
            cpu.extract::<usize>().map_err(wrong)
        });
        let name = name.map(|name| {
            let wrong = |_| refused(py, "name", format!("must be text without surrogates, not {name:?}"));
            name.extract::<String>().map_err(wrong)
        });
        Ok(Self {
            loop_kind: r#loop.0,
            cpu: cpu.transpose()?,
            name: name.transpose()?.unwrap_or_else(|| "pybridge-worker".to_owned()),
            thread: Mutex::new(None),
        })
    }

    /// Name of the worker and of its thread.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let cpu = self.cpu.map_or_else(|| "None".to_owned(), |cpu| cpu.to_string());
        let name = PyString::new(py, &self.name).repr()?;
        Ok(format!("Worker(loop='{}', cpu={cpu}, name={name})", self.loop_kind))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(thread) = self.thread.try_lock()
            && let Some((thread, worker)) = &*thread
        {
            visit.call(thread)?;
            visit.call(worker)?;
        }
        Ok(())
    }
}

fn refused(py: Python<'_>, field: &str, reason: String) -> PyErr {
    crate::error::py_errors::Class::Config.error(py, (field.to_owned(), reason))
}

/// The process's own worker, shared by all engines that name no other.
pub(crate) fn shared_worker(py: Python<'_>) -> PyResult<Py<PyWorker>> {
    if let Some(worker) = &*lock(&SHARED) {
        return Ok(worker.clone_ref(py));
    }
    let fresh = Py::new(py, PyWorker::new(py, LoopKind("asyncio"), None, None)?)?;
    let mut shared = lock(&SHARED);
    Ok(shared.get_or_insert(fresh).clone_ref(py))
}

/// Makes the [`LoopWorker`] of a dedicated worker's loop, on its thread, and names the thread for the system.
#[python_entry]
#[pyfunction]
pub(crate) fn open_port<'py>(
    event_loop: &Bound<'py, PyAny>,
    name: &str,
    cpu: Option<usize>,
) -> PyResult<Bound<'py, LoopWorker>> {
    let worker = commands::open(event_loop, WorkerKind::Dedicated, name)?;
    register(event_loop.py(), event_loop, &worker)?;
    super::os_thread::name_current(name);
    if let Some(cpu) = cpu {
        let py = event_loop.py();
        let wrong = |error| refused(py, "cpu", format!("this process cannot run on processor {cpu}: {error}"));
        super::os_thread::pin_current(cpu).map_err(wrong)?;
    }
    Ok(worker)
}
