//! The engine for Rust hosts: no interpreter on the caller's threads.

use std::sync::Arc;

use pybridge_pool::{Pool, PoolConfig};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::core::EngineCore;
use super::pool::PyPool;
use super::python::PyEngine;
use crate::codec::Format;
use crate::error::config_error;
use crate::worker::{Deferred, Mailbox};

/// Calls one Python handler from Rust. Clones share it.
///
/// The handler runs on a worker thread of its own event loop; callers' threads never touch the interpreter.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) core: Arc<EngineCore>,
    pub(super) object: Arc<Deferred>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) format: Format,
}

/// Settings of an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    handler: Py<PyAny>,
    pool: Option<PoolConfig>,
    format: Format,
    options: Vec<(&'static str, Py<PyAny>)>,
}

impl EngineBuilder {
    /// A pool of the engine's own; without this it uses the process's shared pool.
    #[must_use]
    pub fn pool(mut self, config: PoolConfig) -> Self {
        self.pool = Some(config);
        self
    }

    /// The format of requests and frames; `MessagePack` unless set.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Any keyword argument of the Python `PooledEngine`: `flow`, `limits`, `worker`, `unary`, `lifespan`, `name`, `context`.
    #[must_use]
    pub fn option(mut self, name: &'static str, value: Py<PyAny>) -> Self {
        self.options.push((name, value));
        self
    }

    /// Makes the engine and starts its worker.
    ///
    /// # Errors
    /// What the Python constructor raises: `TypeError` for a wrong handler, `ConfigError` for a wrong setting.
    pub fn build(self, py: Python<'_>) -> PyResult<Engine> {
        crate::embed::install(py)?;
        let keywords = PyDict::new(py);
        keywords.set_item("codec", self.format.name())?;
        keywords.set_item("worker", "dedicated")?;
        if let Some(config) = self.pool {
            let pool = Pool::new(config).map_err(|error| config_error(py, &error))?;
            keywords.set_item("pool", Bound::new(py, PyPool::of(pool))?)?;
        }
        for (name, value) in self.options {
            keywords.set_item(name, value)?;
        }
        let outer = py.import("pybridge.engine")?.getattr("PooledEngine")?.call((self.handler,), Some(&keywords))?;
        Engine::of(&outer)
    }
}

impl Engine {
    /// Settings for an engine that calls `handler`.
    pub fn builder(handler: Py<PyAny>) -> EngineBuilder {
        EngineBuilder { handler, pool: None, format: Format::default(), options: Vec::new() }
    }

    /// The Rust side of a Python `PooledEngine`; starts its worker.
    ///
    /// # Errors
    /// `engine` is something else, or its worker cannot be started.
    pub fn of(engine: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = engine.py();
        crate::runtime::start().map_err(|error| crate::error::runtime_error(py, error))?;
        let core = engine.getattr("_core").ok().and_then(|core| core.cast_into::<PyEngine>().ok());
        let inner =
            core.ok_or_else(|| PyTypeError::new_err(format!("{engine:?} is no PooledEngine of this program")))?;
        let mailbox = inner.get().host_mailbox(py)?;
        let core = Arc::clone(&inner.get().core);
        let format = inner.get().spec.format;
        // The Python object is kept as well: an engine lives as long as its Rust handles.
        let object = Arc::new(Deferred::new(inner.into_any().unbind(), Arc::clone(&mailbox)));
        Ok(Self { core, object, mailbox, format })
    }

    /// Its name in statistics and logs.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Streams that are live now.
    pub fn live(&self) -> usize {
        self.core.live_count()
    }

    /// Takes no new calls and cancels what is live, with the reason `shutdown`. Does not wait.
    pub fn close(&self) {
        self.core.close();
    }
}
