//! `EngineBuilder`: the settings of an engine that a Rust host makes, and the making of it.

use std::sync::Arc;

use pybridge_pool::{Pool, PoolConfig};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::callable_or_path::Callable;
use super::py_pool::PyPool;
use super::rust_engine::Engine;
use super::rust_settings::{FlowConfig, ModelDump};
use super::settings_to_python;
use super::setup_error::SetupError;
use crate::codec::{CodecSpec, Limits};
use crate::error::Failure;
use crate::state::OnFailure;
use crate::worker::{self, Mailbox, Worker};

/// Where an engine's buffers come from: a pool of its own from a [`PoolConfig`], or a [`Pool`] that it shares.
#[derive(Debug)]
pub struct PoolChoice(Choice);

#[derive(Debug)]
enum Choice {
    Own(PoolConfig),
    Shared(Pool),
}

impl From<PoolConfig> for PoolChoice {
    fn from(config: PoolConfig) -> Self {
        Self(Choice::Own(config))
    }
}

impl From<Pool> for PoolChoice {
    fn from(pool: Pool) -> Self {
        Self(Choice::Shared(pool))
    }
}

/// Settings of an [`Engine`]. What is not set has the default that the Python package's `PooledEngine` gives it.
///
/// Three ways lead to the engine: `.await`, which imports and builds on the worker's thread and suspends until that is done;
/// [`blocking`](Self::blocking), the same for threads that may wait; [`build`](Self::build), where the interpreter is at hand.
/// The settings are checked then, by the Python package.
///
/// ```no_run
/// use std::time::Duration;
///
/// use pybridge::{CodecSpec, Engine, FlowConfig, Limits, PoolConfig, SetupError, Worker, embed};
///
/// # async fn example() -> Result<(), SetupError> {
/// embed::initialize()?;
/// let engine = Engine::import("handlers:chat")
///     .codec(CodecSpec::json())
///     .flow(FlowConfig::default().max_concurrency(64).cancel_grace(Duration::from_secs(1)))
///     .limits(Limits::default().max_frame_bytes(1 << 20))
///     .pool(PoolConfig::default().large_parked_bytes(8 << 20))
///     .worker(Worker::new().name("chat"))
///     .lifespan("handlers:lifespan")
///     .name("chat")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an engine is made by `.await`, `blocking()` or `build()`"]
pub struct EngineBuilder {
    handler: Callable,
    settings: Settings,
    on_failure: Option<OnFailure>,
}

/// What a `PooledEngine` is given beside its handler.
#[derive(Debug, Default)]
struct Settings {
    pool: Option<PoolChoice>,
    flow: Option<FlowConfig>,
    limits: Option<Limits>,
    codec: Option<CodecSpec>,
    default_hook: Option<Callable>,
    model_dump: Option<ModelDump>,
    worker: Option<Worker>,
    lifespan: Option<Callable>,
    name: Option<String>,
    unary: Option<bool>,
    context: Option<bool>,
}

impl EngineBuilder {
    fn new(handler: Callable) -> Self {
        Self { handler, settings: Settings::default(), on_failure: None }
    }

    /// Where buffers come from: a [`PoolConfig`] for a pool of the engine's own, or a [`Pool`] to share. Without this it is the
    /// process's shared pool.
    pub fn pool(mut self, pool: impl Into<PoolChoice>) -> Self {
        self.settings.pool = Some(pool.into());
        self
    }

    /// Batches, back-pressure, concurrency and the grace of cancelled handlers.
    pub fn flow(mut self, flow: FlowConfig) -> Self {
        self.settings.flow = Some(flow);
        self
    }

    /// How much one message may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = Some(limits);
        self
    }

    /// The format of requests and frames, with its options; `MessagePack` unless set.
    pub fn codec(mut self, codec: CodecSpec) -> Self {
        self.settings.codec = Some(codec);
        self
    }

    /// Called on the worker with each object that the codec does not know; what it returns is encoded instead.
    pub fn default_hook(mut self, hook: impl Into<Callable>) -> Self {
        self.settings.default_hook = Some(hook.into());
        self
    }

    /// How models of pydantic are written.
    pub fn model_dump(mut self, dump: ModelDump) -> Self {
        self.settings.model_dump = Some(dump);
        self
    }

    /// The worker that runs the handler; without this it is the process's own, which engines share.
    pub fn worker(mut self, worker: Worker) -> Self {
        self.settings.worker = Some(worker);
        self
    }

    /// A function that returns an async context manager. It is entered on the worker before the first request, and left when
    /// the engine closes; what it yields is `Context.state`.
    pub fn lifespan(mut self, lifespan: impl Into<Callable>) -> Self {
        self.settings.lifespan = Some(lifespan.into());
        self
    }

    /// Name in statistics and logs; the handler's unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Whether the handler is a coroutine function that returns one value; false unless set.
    pub fn unary(mut self, unary: bool) -> Self {
        self.settings.unary = Some(unary);
        self
    }

    /// Whether the handler gets `context=`; read from its signature unless set.
    pub fn context(mut self, context: bool) -> Self {
        self.settings.context = Some(context);
        self
    }

    /// Called with the request's id and the failure when a handler fails whose consumer is Rust; then it is not logged. It runs
    /// on the worker's thread, which it must not block.
    pub fn on_failure(mut self, act: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(OnFailure::new(act));
        self
    }

    /// Makes the engine; the package can be imported.
    pub(crate) fn make(self, py: Python<'_>) -> PyResult<Engine> {
        let handler = self.handler.load(py)?;
        let class = py.import("pybridge.engine")?.getattr("PooledEngine")?;
        let engine = if handler.is_instance(&class)? {
            self.settings.refuse_for(&handler)?;
            handler
        } else {
            class.call((handler,), Some(&self.settings.keywords(py)?))?
        };
        let engine = Engine::of(&engine)?;
        if let Some(act) = self.on_failure
            && engine.state.on_failure.set(act).is_err()
        {
            return Err(PyValueError::new_err("the engine has an on_failure already"));
        }
        Ok(engine)
    }

    /// The mailbox of the worker that the engine will have.
    pub(crate) fn mailbox(&self, py: Python<'_>) -> PyResult<Arc<Mailbox>> {
        let worker = match &self.settings.worker {
            Some(worker) => worker.started(py)?,
            None => worker::shared_worker(py)?,
        };
        worker.get().mailbox(py)
    }
}

impl Settings {
    /// `ValueError` where a setting is given for an engine that has its settings already.
    fn refuse_for(&self, engine: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = [
            ("pool", self.pool.is_some()),
            ("flow", self.flow.is_some()),
            ("limits", self.limits.is_some()),
            ("codec", self.codec.is_some()),
            ("default_hook", self.default_hook.is_some()),
            ("model_dump", self.model_dump.is_some()),
            ("worker", self.worker.is_some()),
            ("lifespan", self.lifespan.is_some()),
            ("name", self.name.is_some()),
            ("unary", self.unary.is_some()),
            ("context", self.context.is_some()),
        ];
        let names: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = names.join(", ");
        Err(PyValueError::new_err(format!("{} has its settings; {names} cannot be given as well", engine.repr()?)))
    }

    /// The arguments of `PooledEngine`.
    fn keywords(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let arguments = PyDict::new(py);
        let default = self.default_hook.map(|hook| hook.load(py)).transpose()?;
        let codec = settings_to_python::codec(py, &self.codec.unwrap_or_default(), default, self.model_dump.as_ref())?;
        arguments.set_item("codec", codec)?;
        match self.pool {
            Some(PoolChoice(Choice::Own(config))) => {
                arguments.set_item("pool", settings_to_python::pool(py, &config)?)?;
            }
            Some(PoolChoice(Choice::Shared(pool))) => arguments.set_item("pool", Bound::new(py, PyPool::of(pool))?)?,
            None => {}
        }
        if let Some(flow) = &self.flow {
            arguments.set_item("flow", settings_to_python::flow(py, flow)?)?;
        }
        if let Some(limits) = &self.limits {
            arguments.set_item("limits", settings_to_python::limits(py, limits)?)?;
        }
        match &self.worker {
            Some(worker) => arguments.set_item("worker", worker.started(py)?)?,
            None => arguments.set_item("worker", "dedicated")?,
        }
        if let Some(lifespan) = self.lifespan {
            arguments.set_item("lifespan", lifespan.load(py)?)?;
        }
        arguments.set_item("name", self.name)?;
        arguments.set_item("unary", self.unary.unwrap_or_default())?;
        arguments.set_item("context", self.context)?;
        Ok(arguments)
    }
}

impl Engine {
    /// Settings for an engine that calls `handler`.
    ///
    /// ```no_run
    /// use pybridge::Engine;
    /// use pybridge::pyo3::prelude::*;
    ///
    /// fn load(py: Python<'_>) -> PyResult<Engine> {
    ///     pybridge::embed::install(py)?; // `import pybridge` works from here on, also in the handler's module
    ///     let handler = py.import("handlers")?.getattr("chat")?;
    ///     Engine::builder(handler.unbind()).build(py)
    /// }
    /// ```
    pub fn builder(handler: Py<PyAny>) -> EngineBuilder {
        EngineBuilder::new(handler.into())
    }

    /// Settings for an engine that calls what `path` names, `"module:attribute"`: a handler, or a `PooledEngine`, which has its
    /// settings already. It is imported on the worker's thread, when the builder is awaited.
    ///
    /// ```no_run
    /// use pybridge::{Engine, SetupError, embed};
    ///
    /// # async fn example() -> Result<(), SetupError> {
    /// embed::initialize()?;
    /// let engine = Engine::import("handlers:chat").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn import(path: impl Into<String>) -> EngineBuilder {
        EngineBuilder::new(path.into().into())
    }

    /// [`Engine::import`] without settings, for threads that may wait, such as that of `main`.
    ///
    /// ```no_run
    /// use pybridge::{Engine, embed};
    ///
    /// fn main() -> Result<(), pybridge::SetupError> {
    ///     embed::initialize()?;
    ///     let engine = Engine::import_blocking("handlers:chat")?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`EngineBuilder::blocking`].
    pub fn import_blocking(path: impl Into<String>) -> Result<Self, SetupError> {
        Self::import(path).blocking()
    }
}
