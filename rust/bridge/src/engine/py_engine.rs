//! The engine object of the Python package.

use std::sync::{Arc, Weak};
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::engine_stats::EngineStats;
use super::placement::Placement;
use super::py_call_options::{PyCallOptions, duration};
use super::py_calls::{Call, CallRequest};
use super::py_codec::{PyCodec, body_of};
use super::py_pool::{PyPool, shared_pool};
use super::py_readiness::Readiness;
use super::server_profile::{EngineProfile, max_request};
use crate::base::context_vars::copy_context;
use crate::base::deferred_release::{self, LoopOwned};
use crate::codec::{Encoder, Format, Framing};
use crate::consumer::{
    Awaited, BlockingStream, Goal, ItemForm, PyFrame, PyStream, Single, context_of, coroutine, detached_wait,
};
use crate::driver::{self, Handler, HasHandler};
use crate::error::py_errors::Class;
use crate::state::{EngineHooks, EngineState, Flow, ItemCodec, StartRequest, StreamState, flow_settings};
use crate::worker::{self, HasLifespan, TaskSettings};

/// What `PooledEngine` wraps: a handler with all it needs to run.
#[python_entry]
#[pyclass(frozen, name = "Engine", module = "pybridge._pybridge", weakref)]
pub(crate) struct PyEngine {
    pub(crate) state: Arc<EngineState>,
    pub(crate) placement: Placement,
    pub(crate) handler: Handler,
    lifespan: Option<Py<PyAny>>,
    codec: Py<PyCodec>,
    tasks: TaskSettings,
}

impl HasLifespan for PyEngine {
    fn of<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a Self> {
        Ok(object.cast::<Self>()?.get())
    }

    fn engine_state(&self) -> &Arc<EngineState> {
        &self.state
    }

    fn lifespan(&self) -> Option<&Py<PyAny>> {
        self.lifespan.as_ref()
    }

    fn tasks(&self) -> &TaskSettings {
        &self.tasks
    }
}

impl HasHandler for PyEngine {
    fn handler(&self) -> &Handler {
        &self.handler
    }

    fn encoder(&self, py: Python<'_>, start: &StartRequest) -> PyResult<Encoder> {
        let engines = self.codec.get();
        let (codec, spec) = match &start.codec {
            ItemCodec::Engine => (engines, engines.spec_for(start.framing)),
            ItemCodec::Own(codec) => {
                let codec = codec.get(py).bind(py).cast::<PyCodec>()?.get();
                (codec, codec.spec_for(start.framing))
            }
            ItemCodec::Format(format) => (engines, engines.spec_in(*format)),
        };
        Ok(codec.encoder(py, spec, start.framing, Arc::clone(&self.state.limits)))
    }
}

impl PyEngine {
    /// What decides how its requests and answers look.
    pub(crate) fn profile(&self) -> EngineProfile {
        let Handler { unary, ref spec, .. } = self.handler;
        let max_request = max_request(&self.state.limits, spec.format);
        EngineProfile { format: spec.format, unary, max_request }
    }

    fn readiness(slf: &Bound<'_, Self>) -> PyResult<Readiness> {
        let py = slf.py();
        crate::base::runtime::start().map_err(|error| crate::error::py_errors::runtime_error(py, error))?;
        let mailbox = slf.get().placement.host_mailbox(py)?;
        Readiness::of(py, &slf.get().state, || {
            let object = Arc::new(LoopOwned::new(slf.clone().into_any().unbind(), mailbox.sink()));
            worker::enter_lifespan::<Self>(&mailbox, object, true)
        })
    }

    /// A request's bytes in this format: a frame's own memory, else a copy in the pool's inbound half.
    pub(crate) fn body(&self, py: Python<'_>, data: &Bound<'_, PyAny>, format: Format) -> PyResult<Bytes> {
        if let Ok(frame) = data.cast::<PyFrame>() {
            return Ok(frame.get().to_bytes());
        }
        let body = body_of(data, format)?;
        self.state.pool.inbound(&body).map_err(|error| Class::PoolExhausted.error(py, (error.to_string(),)))
    }
}

#[python_entry]
#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (handler, *, name, wants_context, unary, codec, pool, flow, limits, worker, lifespan))]
    #[expect(clippy::too_many_arguments, reason = "called by PooledEngine only, by keyword")]
    fn new(
        py: Python<'_>,
        handler: Py<PyAny>,
        name: String,
        wants_context: bool,
        unary: bool,
        codec: Py<PyCodec>,
        pool: Option<&Bound<'_, PyPool>>,
        flow: &Bound<'_, PyAny>,
        limits: &Bound<'_, PyAny>,
        worker: &Bound<'_, PyAny>,
        lifespan: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        refuse_at_exit(py)?;
        let placement = Placement::of(worker)?;
        let pool = match pool {
            Some(pool) => pool.get().pool.clone(),
            None => shared_pool(py)?,
        };
        let tasks = TaskSettings { context: driver::copy_outside(py)?, name: PyString::new(py, &name).unbind() };
        let context = wants_context.then_some(context_of as _);
        let handler = Handler { function: handler, unary, context, spec: Arc::clone(&codec.get().spec) };
        let hooks = EngineHooks { begin: driver::start_stream::<Self>, leave: worker::leave_lifespans };
        let state = EngineState::new(name, Flow::of(flow)?, flow_settings::limits(limits)?, pool, hooks);
        Ok(Self { state, placement, handler, lifespan, codec, tasks })
    }

    /// Makes the stream of one call; see `PooledEngine.__call__` for the options.
    #[pyo3(
        signature = (kind, request, codec=None, framing="none", *, flush_interval=0.0, **options),
        text_signature = "($self, kind, request, codec=None, framing='none', *, flush_interval=0.0, encoded=None, \
                          request_id=None, metadata=None, timeout=None, idle_timeout=None, traceparent=None, \
                          tracestate=None, parent=None, inherit=True)"
    )]
    fn open(
        slf: &Bound<'_, Self>,
        kind: &str,
        request: Py<PyAny>,
        codec: Option<&Bound<'_, PyCodec>>,
        framing: &str,
        flush_interval: f64,
        options: Option<PyCallOptions>,
    ) -> PyResult<PyStream> {
        let (py, engine) = (slf.py(), slf.get());
        refuse_at_exit(py)?;
        let mut options = options.unwrap_or_default();
        let request = match options.encoded.take() {
            Some(spec) => CallRequest::Encoded(request, spec),
            None => CallRequest::Object(request),
        };
        let (options, parent) = options.resolve(py)?;
        let kind = match kind {
            "items" => ItemForm::Items,
            "frames" => ItemForm::Frames,
            _ => ItemForm::Chunks,
        };
        let framing = Framing::from_name(framing).unwrap_or_default();
        let spec = codec.map_or_else(|| engine.codec.get(), |codec| codec.get()).spec_for(framing);
        let (state, name) = (Arc::clone(&engine.state), options.request_id.clone());
        let call = Call {
            engine: slf.clone().unbind(),
            request,
            codec: codec.map(|codec| codec.clone().unbind().into_any()),
            context: copy_context(py)?.unbind(),
            framing,
            options,
            parent,
        };
        let flush_interval = duration(Some(flush_interval))?.unwrap_or_default();
        Ok(PyStream::new(Box::new(call), slf.clone().into_any().unbind(), state, name, kind, spec, flush_interval))
    }

    /// The one item of a call, once its stream has ended; the options are those of `open`.
    #[pyo3(
        signature = (request, codec=None, **options),
        text_signature = "($self, request, codec=None, *, encoded=None, request_id=None, metadata=None, timeout=None, \
                          idle_timeout=None, traceparent=None, tracestate=None, parent=None, inherit=True)"
    )]
    fn call<'py>(
        slf: &Bound<'py, Self>,
        request: Py<PyAny>,
        codec: Option<&Bound<'py, PyCodec>>,
        options: Option<PyCallOptions>,
    ) -> PyResult<Bound<'py, Awaited>> {
        let stream = Self::open(slf, "items", request, codec, "none", 0.0, options)?;
        Awaited::new(slf.py(), Goal::Single(Single::new(stream)))
    }

    /// A blocking iterator over a stream made by `open`, for threads without an event loop.
    fn iterate(slf: &Bound<'_, Self>, stream: Py<PyStream>) -> PyResult<BlockingStream> {
        BlockingStream::new(slf.py(), stream)
    }

    /// Suspends until the engine's lifespan is entered on the worker that serves Rust callers. Raises what it raised.
    fn ready(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), Self::readiness(&slf)?)
    }

    /// The same for threads without an event loop: blocks.
    fn wait_ready(slf: Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut readiness = Self::readiness(&slf)?;
        let entered = detached_wait::wait(py, None, |waker| match readiness.poll_entered(py, waker) {
            Poll::Ready(entered) => Some(entered),
            Poll::Pending => None,
        })?;
        entered.unwrap_or(Ok(()))
    }

    /// Takes no new calls; live streams go on.
    fn drain(&self) {
        self.state.drain();
    }

    /// Takes no new calls and cancels live streams with the reason `shutdown`.
    ///
    /// Stays attached: on a loop's own thread it wakes consumers and drops references.
    fn close(&self) {
        self.state.close();
    }

    /// Blocks until no stream is live, at most `timeout` seconds (None: without bound). True: none is.
    #[pyo3(signature = (timeout=None))]
    fn wait_idle(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let idle =
            detached_wait::wait(py, duration(timeout)?, |waker| self.state.is_idle_or_wake(Some(waker)).then_some(()))?;
        Ok(idle.is_some())
    }

    /// Suspends until no stream is live. Called on a running event loop.
    fn until_idle<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Awaited>> {
        if worker::running_worker(py)?.is_none() {
            return Err(PyRuntimeError::new_err("no event loop of asyncio runs here; close() needs none"));
        }
        Awaited::new(py, Goal::Idle(Arc::clone(&self.state)))
    }

    /// True in the task of a handler of this engine, or of one that such a handler waits for.
    fn runs_caller(&self, py: Python<'_>) -> PyResult<bool> {
        let (Some(stream), Some(worker)) = (driver::current_stream(py)?, worker::running_worker(py)?) else {
            return Ok(false);
        };
        if !worker.get().is_task_of(py, &stream)? {
            return Ok(false);
        }
        let parent = |stream: &Arc<StreamState>| stream.parent.as_ref().and_then(Weak::upgrade);
        Ok(std::iter::successors(Some(stream), parent).any(|stream| stream.engine.id == self.state.id))
    }

    /// True when the calling thread runs an event loop.
    #[staticmethod]
    fn on_loop(py: Python<'_>) -> PyResult<bool> {
        Ok(worker::running_loop(py)?.is_some() || worker::trio_runs_here(py)?)
    }

    /// Gives the pool's idle memory back now; returns the bytes.
    fn trim(&self, py: Python<'_>) -> usize {
        py.detach(|| self.state.pool.trim())
    }

    /// `"serving"`, `"draining"` or `"closed"`.
    #[getter]
    fn state(&self) -> &'static str {
        match self.state.lifecycle() {
            crate::state::Lifecycle::Serving => "serving",
            crate::state::Lifecycle::Draining => "draining",
            crate::state::Lifecycle::Closed => "closed",
        }
    }

    /// The counters, as a nested dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        deferred_release::drain_orphans(py);
        super::stats_to_python::engine(py, &EngineStats::of(&self.state))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.handler.traverse(&visit)?;
        visit.call(&self.codec)?;
        visit.call(&self.lifespan)?;
        if let Placement::Pinned(worker) = &self.placement {
            visit.call(worker)?;
        }
        visit.call(&self.tasks.context)
    }
}

/// `EngineClosed` once pybridge has stopped: what a call needs of the interpreter may be gone by then.
fn refuse_at_exit(py: Python<'_>) -> PyResult<()> {
    crate::base::runtime::check_exit().map_err(|error| crate::error::py_errors::runtime_error(py, error))
}
