//! An engine as the extension's HTTP code uses it on a running event loop: request bodies in, chunks out.

use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::call_refusals::check_size;
use super::py_calls::{Call, CallRequest};
use super::py_engine::PyEngine;
use super::request_body::RequestBody;
use super::server_profile::EngineProfile;
use crate::base::context_vars::copy_context;
use crate::base::deferred_release::LoopOwned;
use crate::codec::Framing;
use crate::consumer::{ChunkStream, PyStream, StreamError, Unopened};
use crate::driver::current_stream;
use crate::error::py_errors::failure_of;
use crate::state::{CallOptions, ConsumerKind, Lifecycle};
use crate::worker::longest_lag;

/// The extension's own engine object, called by code that runs on an event loop.
#[derive(Debug)]
pub struct ServedEngine(Py<PyEngine>);

impl ServedEngine {
    /// The engine in `_core` of a `PooledEngine`.
    ///
    /// # Errors
    /// `TypeError`: it is something else.
    pub fn of(native: &Bound<'_, PyAny>) -> PyResult<Self> {
        let engine = native.cast::<PyEngine>().map_err(|_| PyTypeError::new_err(format!("{native:?} is no engine")))?;
        Ok(Self(engine.clone().unbind()))
    }

    /// Its name in statistics and logs.
    pub fn name(&self) -> &str {
        &self.0.get().state.name
    }

    /// What of its settings decides how requests and answers look.
    pub fn profile(&self) -> EngineProfile {
        self.0.get().profile()
    }

    /// Memory of its pool for a request that arrives in pieces; see [`Engine::request_body`](crate::Engine::request_body).
    ///
    /// # Errors
    /// As there.
    pub fn request_body(&self, declared: Option<usize>, most: usize) -> Result<RequestBody, StreamError> {
        RequestBody::new(&self.0.get().state.pool, declared, most)
    }

    /// True while it takes calls.
    pub fn is_serving(&self) -> bool {
        self.0.get().state.lifecycle() == Lifecycle::Serving
    }

    /// How long the slowest of its event loops has not answered, in milliseconds.
    pub fn stalled_ms(&self) -> f64 {
        longest_lag().as_secs_f64() * 1000.0
    }

    /// Calls the handler with a body, in a copy of the context that is current. The calling thread runs the loop on which
    /// the chunks are polled.
    ///
    /// # Errors
    /// Why the call is refused.
    pub fn chunks(
        &self,
        py: Python<'_>,
        body: Bytes,
        framing: Framing,
        options: CallOptions,
    ) -> Result<ChunkStream, StreamError> {
        let state = &self.0.get().state;
        check_size(&state.limits, body.len(), options.encoded.unwrap_or(self.profile().format))?;
        options.check(&state.limits).map_err(StreamError::Failed)?;
        let call = || -> PyResult<Call> {
            let parent = current_stream(py)?;
            let mut options = options;
            if let Some(parent) = &parent {
                options.inherit(&parent.options);
            }
            Ok(Call {
                engine: self.0.clone_ref(py),
                request: CallRequest::Body(body),
                codec: None,
                context: copy_context(py)?.unbind(),
                framing,
                options,
                parent,
            })
        };
        call().and_then(|call| open(py, Box::new(call))).map_err(|error| refused(py, &error))
    }

    /// Shows the collector what it refers to.
    ///
    /// # Errors
    /// Those of the collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// Starts a stream of chunks that nobody has read from, and takes it away from its Python object. Whoever
/// takes it sets the interval between chunks, if there is to be one.
///
/// # Errors
/// Why the call is refused.
pub fn take_chunks(stream: &Bound<'_, PyAny>) -> Result<ChunkStream, StreamError> {
    let py = stream.py();
    let taken = || -> PyResult<ChunkStream> {
        let call = stream.cast::<PyStream>().ok().and_then(|stream| stream.get().take_call());
        let call = call.ok_or_else(|| PyRuntimeError::new_err("the stream has been read from, or closed"))?;
        open(py, call)
    };
    taken().map_err(|error| refused(py, &error))
}

fn open(py: Python<'_>, call: Box<dyn Unopened>) -> PyResult<ChunkStream> {
    let (stream, _) = call.open(py, ConsumerKind::Server)?;
    Ok(ChunkStream::new(stream))
}

fn refused(py: Python<'_>, error: &PyErr) -> StreamError {
    StreamError::Failed(Box::new(failure_of(py, error, None::<fn(Py<PyAny>) -> LoopOwned>)))
}
