//! Workers as a Rust host names them.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::dedicated::PyWorker;
use crate::base::deferred_release::LoopOwned;
use crate::base::lock::{Mutex, lock};

/// Which event loop a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EventLoop {
    /// That of the standard library.
    #[default]
    Asyncio,
    /// That of the Python package `uvloop`, which has to be installed.
    Uvloop,
}

/// A thread with an event loop of its own. Engines that are given clones of one value share it.
///
/// The thread starts with the first engine, and ends when neither the value nor a clone nor one of the engines is left. Each
/// setter makes another worker; what cannot be is refused when the engine is made.
///
/// ```no_run
/// use pybridge::{Engine, EventLoop, Worker};
///
/// # async fn example() -> Result<(), pybridge::SetupError> {
/// let worker = Worker::new().event_loop(EventLoop::Uvloop).cpu(3).name("models");
/// let chat = Engine::import("handlers:chat").worker(worker.clone()).await?;
/// let embed = Engine::import("handlers:embed").worker(worker).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Worker {
    event_loop: EventLoop,
    cpu: Option<usize>,
    name: Option<String>,
    object: Arc<Mutex<Option<LoopOwned>>>,
}

impl Worker {
    /// A worker on an event loop of asyncio.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A worker on this event loop.
    #[must_use]
    pub fn event_loop(self, event_loop: EventLoop) -> Self {
        Self { event_loop, object: Arc::default(), ..self }
    }

    /// A worker that stays on this processor, where the system allows it: Linux.
    #[must_use]
    pub fn cpu(self, cpu: usize) -> Self {
        Self { cpu: Some(cpu), object: Arc::default(), ..self }
    }

    /// A worker of this name, in statistics and as the name of its thread; `pybridge-worker` unless set.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), object: Arc::default(), ..self }
    }

    /// The Python object, made and started if it was not.
    pub(crate) fn started(&self, py: Python<'_>) -> PyResult<Py<PyWorker>> {
        let known = || {
            let object = lock(&self.object);
            object.as_ref().map(|object| object.get(py).clone_ref(py))
        };
        if let Some(object) = known() {
            return Ok(object.into_bound(py).cast_into::<PyWorker>()?.unbind());
        }
        let keywords = PyDict::new(py);
        let event_loop = match self.event_loop {
            EventLoop::Asyncio => "asyncio",
            EventLoop::Uvloop => "uvloop",
        };
        keywords.set_item("loop", event_loop)?;
        keywords.set_item("cpu", self.cpu)?;
        keywords.set_item("name", self.name.as_deref())?;
        let fresh = py.get_type::<PyWorker>().call((), Some(&keywords))?.cast_into::<PyWorker>()?;
        let owner = fresh.get().mailbox(py)?.sink();
        let kept = LoopOwned::new(fresh.clone().into_any().unbind(), owner);
        let late = {
            let mut object = lock(&self.object);
            if object.is_some() { Some(kept) } else { object.replace(kept) }
        };
        // Where another thread was faster its worker stands, and this one's ends.
        let lost = late.is_some();
        drop(late);
        if lost { self.started(py) } else { Ok(fresh.unbind()) }
    }
}
