//! The worker that runs a call's handler: the caller's loop, the process's own worker, or the engine's.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::state::CommandSink;
use crate::worker::{self, LoopWorker, Mailbox, PyWorker};

/// Which worker runs an engine's handlers.
pub(crate) enum Placement {
    /// The caller's loop if one runs, else the process's own worker.
    Auto,
    /// The caller's loop.
    Attached,
    /// The process's own worker.
    Dedicated,
    /// This worker.
    Pinned(Py<PyWorker>),
}

impl Placement {
    /// What the `worker` of a `PooledEngine` says.
    pub(super) fn of(worker: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(worker) = worker.cast::<PyWorker>() {
            return Ok(Self::Pinned(worker.clone().unbind()));
        }
        Ok(match worker.extract::<&str>()? {
            "attached" => Self::Attached,
            "dedicated" => Self::Dedicated,
            _ => Self::Auto,
        })
    }

    /// The worker that serves Rust callers.
    pub(crate) fn host_mailbox(&self, py: Python<'_>) -> PyResult<Arc<Mailbox>> {
        match self {
            Self::Pinned(worker) => worker.get().mailbox(py),
            Self::Attached => Err(PyRuntimeError::new_err("an attached engine has no worker that Rust could call")),
            Self::Auto | Self::Dedicated => worker::shared_worker(py)?.get().mailbox(py),
        }
    }

    /// Where the handler of a call runs; `here`: the loop that runs on the calling thread.
    pub(super) fn locate<'py>(
        &self,
        py: Python<'py>,
        here: Option<&Bound<'py, LoopWorker>>,
        nested: bool,
    ) -> PyResult<Target<'py>> {
        let here = here.cloned();
        match (self, here) {
            (Self::Pinned(worker), here) => {
                let mailbox = worker.get().mailbox(py)?;
                let here = here.filter(|worker| Arc::ptr_eq(&worker.get().mailbox, &mailbox));
                Ok(here.map_or(Target::There(mailbox), Target::Here))
            }
            (Self::Auto | Self::Attached, Some(worker)) => Ok(Target::Here(worker)),
            (Self::Dedicated, Some(worker)) if nested || worker.get().is_dedicated() => Ok(Target::Here(worker)),
            (Self::Attached, None) => Err(PyRuntimeError::new_err(
                "this engine is attached and no event loop of asyncio runs here: call it from a coroutine, or use worker=\"dedicated\"",
            )),
            _ => Ok(Target::There(worker::shared_worker(py)?.get().mailbox(py)?)),
        }
    }
}

/// Where a stream's handler runs.
pub(super) enum Target<'py> {
    /// On the loop that runs here.
    Here(Bound<'py, LoopWorker>),
    /// On another thread.
    There(Arc<Mailbox>),
}

impl Target<'_> {
    pub(super) fn sink(&self) -> Arc<dyn CommandSink> {
        match self {
            Self::Here(worker) => worker.get().mailbox.sink(),
            Self::There(mailbox) => mailbox.sink(),
        }
    }
}

/// The worker of the loop that runs here; an error under trio.
pub(super) fn worker_here(py: Python<'_>) -> PyResult<Option<Bound<'_, LoopWorker>>> {
    let worker = worker::running_worker(py)?;
    if worker.is_none() && worker::trio_runs_here(py)? {
        return Err(PyRuntimeError::new_err(
            "a stream is read on an event loop of asyncio, and trio runs here: use engine.iter() within \
             trio.to_thread.run_sync()",
        ));
    }
    Ok(worker)
}
