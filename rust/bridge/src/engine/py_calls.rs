//! Calls from Python: the stream that the arguments of a call become.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::placement::{Target, worker_here};
use super::py_engine::PyEngine;
use super::submit::submit;
use crate::base::deferred_release::{self, LoopOwned};
use crate::codec::{CodecSpec, Framing};
use crate::consumer::{Opened, Unopened};
use crate::error::py_errors::Class;
use crate::state::{
    CallOptions, ConsumerKind, ItemCodec, Request, RequestCodec, StartRequest, StreamState, post_start,
};
use crate::worker;

/// What a handler is called with.
pub(crate) enum CallRequest {
    /// This very object.
    Object(Py<PyAny>),
    /// What these bytes, or this text, stand for.
    Encoded(Py<PyAny>, Arc<CodecSpec>),
    /// What a body stands for that has arrived already; in the engine's format unless the options say another.
    Body(Bytes),
}

/// What one call from Python asks for, kept until the stream starts.
pub(crate) struct Call {
    pub(crate) engine: Py<PyEngine>,
    pub(crate) request: CallRequest,
    pub(crate) codec: Option<Py<PyAny>>,
    pub(crate) context: Py<PyAny>,
    pub(crate) framing: Framing,
    pub(crate) options: CallOptions,
    pub(crate) parent: Option<Arc<StreamState>>,
}

impl Unopened for Call {
    /// Starts the stream; one that is refused is counted as nothing else.
    ///
    /// Raises `EngineClosed`, `Overloaded`, `PoolExhausted`, `ForkError`, and `RuntimeError` where an attached engine finds no
    /// running loop or the call comes from the lifespan that it would wait for.
    fn open(self: Box<Self>, py: Python<'_>, consumer: ConsumerKind) -> PyResult<Opened<'_>> {
        let engine = Arc::clone(&self.engine.get().state);
        start(py, *self, consumer).inspect_err(|_| engine.metrics.count_refused())
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)?;
        if let CallRequest::Object(object) | CallRequest::Encoded(object, _) = &self.request {
            visit.call(object)?;
        }
        visit.call(&self.codec)?;
        visit.call(&self.context)
    }
}

fn start(py: Python<'_>, call: Call, consumer: ConsumerKind) -> PyResult<Opened<'_>> {
    crate::base::runtime::start().map_err(|error| crate::error::py_errors::runtime_error(py, error))?;
    deferred_release::drain_orphans(py);
    let engine = call.engine.get();
    let lifespan = worker::current_lifespan(py)?;
    let nested = call.parent.is_some() || lifespan.is_some();
    if !engine.state.lifecycle().takes(nested) {
        return Err(Class::EngineClosed.error(py, (format!("engine {} is closed", engine.state.name),)));
    }
    let worker = worker_here(py)?;
    let target = engine.placement.locate(py, worker.as_ref(), call.parent.is_some())?;
    let sink = target.sink();
    let formats = (call.options.encoded, call.options.codec);
    let stream =
        StreamState::new(Arc::clone(&engine.state), Arc::clone(&sink), call.options, call.parent.as_ref(), consumer);
    if let Some(lifespan) = lifespan {
        worker::wait_for(lifespan, &stream)?;
    }
    let deferred = |object: Py<PyAny>| LoopOwned::new(object, stream.owner());
    let request = match call.request {
        CallRequest::Object(object) => Request::Object(deferred(object)),
        CallRequest::Encoded(bytes, spec) => {
            Request::Encoded(engine.body(py, bytes.bind(py), spec.format)?, RequestCodec::Plain(spec))
        }
        CallRequest::Body(body) => {
            let own = formats.0.filter(|&format| format != engine.handler.spec.format);
            Request::Encoded(body, own.map_or(RequestCodec::Engine, RequestCodec::of))
        }
    };
    let codec = match (call.codec, formats.1) {
        (Some(codec), _) => ItemCodec::Own(deferred(codec)),
        (None, Some(format)) => ItemCodec::Format(format),
        (None, None) => ItemCodec::Engine,
    };
    let start = Box::new(StartRequest {
        stream: Arc::clone(&stream),
        request,
        engine: Arc::new(deferred(call.engine.clone_ref(py).into_any())),
        codec,
        context: Some(deferred(call.context)),
        framing: call.framing,
    });
    submit(start, None, nested, |start| match target {
        Target::Here(worker) => start.begin(py, &worker),
        Target::There(_) => post_start(start),
    })
    .map_err(|reason| Class::Overloaded.error(py, (reason,)))?;
    Ok((stream, worker))
}
