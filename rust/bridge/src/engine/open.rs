//! A call from Python becomes a stream: which worker, which parent, is there a place.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::core::post_start;
use super::python::{Placement, PyEngine};
use crate::admission::Entry;
use crate::py_errors::Class;
use crate::state::{ItemCodec, Owner, Request, RequestCodec, StartRequest};
use crate::stream::{self, Call, CallRequest, StreamCore};
use crate::worker::{self, Deferred, Mailbox, Port};

/// Where a stream's handler runs.
enum Target<'py> {
    /// On the loop that runs here.
    Here(Bound<'py, Port>),
    /// On another thread.
    There(Arc<Mailbox>),
}

impl Target<'_> {
    fn owner(&self) -> Arc<dyn Owner> {
        match self {
            Self::Here(port) => port.get().mailbox.owner(),
            Self::There(mailbox) => mailbox.owner(),
        }
    }
}

/// A stream that was started, and the port of the loop that runs here, if one does.
pub(crate) type Opened<'py> = (Arc<StreamCore>, Option<Bound<'py, Port>>);

/// Starts the stream of `call`; one that is refused is counted as nothing else.
///
/// Raises `EngineClosed`, `Overloaded`, `PoolExhausted`, `ForkError`, and `RuntimeError` where an attached engine finds no
/// running loop or the call comes from the lifespan that it would wait for.
pub(crate) fn open(py: Python<'_>, call: Call) -> PyResult<Opened<'_>> {
    let engine = Arc::clone(&call.engine.get().core);
    start(py, call).inspect_err(|_| engine.metrics.count_refused())
}

fn start(py: Python<'_>, call: Call) -> PyResult<Opened<'_>> {
    crate::runtime::start().map_err(|error| crate::py_errors::runtime_error(py, error))?;
    worker::drain_orphans(py);
    let engine = call.engine.get();
    let lifespan = worker::current_lifespan(py)?;
    let nested = call.parent.is_some() || lifespan.is_some();
    if !engine.core.life().takes(nested) {
        return Err(Class::EngineClosed.error(py, (format!("engine {} is closed", engine.core.name),)));
    }
    let port = port_here(py)?;
    let target = locate(py, engine, port.as_ref(), call.parent.is_some())?;
    let home = target.owner();
    let formats = (call.options.encoded, call.options.codec);
    let core =
        StreamCore::new(Arc::clone(&engine.core), Arc::clone(&home), call.options, call.parent.as_ref(), call.consumer);
    if let Some(lifespan) = lifespan {
        worker::wait_for(lifespan, &core)?;
    }
    let deferred = |object: Py<PyAny>| Deferred::new(object, Arc::clone(&home));
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
        core: Arc::clone(&core),
        request,
        engine: Arc::new(deferred(call.engine.clone_ref(py).into_any())),
        codec,
        context: Some(deferred(call.context)),
        framing: call.framing,
        begin: stream::start::<PyEngine>,
    });
    match engine.core.admission.enter(start, nested) {
        Entry::Admitted(start) => {
            core.register();
            match target {
                Target::Here(port) => (start.begin)(py, &port, start),
                Target::There(_) => post_start(start),
            }
        }
        Entry::Waiting => core.register(),
        Entry::Refused(_start, reason) => {
            return Err(Class::Overloaded.error(py, (engine.core.no_place(&reason),)));
        }
    }
    Ok((core, port))
}

/// The port of the loop that runs here; an error under trio.
fn port_here(py: Python<'_>) -> PyResult<Option<Bound<'_, Port>>> {
    let port = worker::running_port(py)?;
    if port.is_none() && worker::trio_runs_here(py)? {
        return Err(PyRuntimeError::new_err(
            "a stream is read on an event loop of asyncio, and trio runs here: use engine.iter() within \
             trio.to_thread.run_sync()",
        ));
    }
    Ok(port)
}

fn locate<'py>(
    py: Python<'py>,
    engine: &PyEngine,
    here: Option<&Bound<'py, Port>>,
    nested: bool,
) -> PyResult<Target<'py>> {
    let here = here.cloned();
    match (&engine.placement, here) {
        (Placement::Pinned(worker), here) => {
            let mailbox = worker.get().mailbox(py)?;
            let here = here.filter(|port| Arc::ptr_eq(&port.get().mailbox, &mailbox));
            Ok(here.map_or(Target::There(mailbox), Target::Here))
        }
        (Placement::Auto | Placement::Attached, Some(port)) => Ok(Target::Here(port)),
        (Placement::Dedicated, Some(port)) if nested || port.get().is_dedicated() => Ok(Target::Here(port)),
        (Placement::Attached, None) => Err(PyRuntimeError::new_err(
            "this engine is attached and no event loop of asyncio runs here: call it from a coroutine, or use worker=\"dedicated\"",
        )),
        _ => Ok(Target::There(worker::shared_worker(py)?.get().mailbox(py)?)),
    }
}
