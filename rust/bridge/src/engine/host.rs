//! The engine for Rust hosts: no interpreter on the caller's threads.

use std::sync::Arc;

use bytes::Bytes;
use pybridge_pool::PoolError;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::core::{EngineCore, Life, post_start};
use super::python::PyEngine;
use crate::admission::Entry;
use crate::codec::{self, Format, Framing};
use crate::runtime::RuntimeError;
use crate::stream::{
    CallOptions, Failure, FailureKind, FrameStream, ItemStream, Request, RequestCodec, StartRequest, StreamCore,
    StreamError,
};
use crate::worker::{Deferred, Mailbox};

fn failed(kind: FailureKind, class: &str, message: impl Into<String>) -> StreamError {
    StreamError::Failed(Box::new(Failure::new(kind, class, message)))
}

fn forked() -> StreamError {
    failed(FailureKind::Fork, "ForkError", RuntimeError::Forked.to_string())
}

fn too_large(message: String, limit: &str) -> StreamError {
    StreamError::Failed(Box::new(Failure::over(FailureKind::TooLarge, limit, message)))
}

/// Calls one Python handler from Rust. Clones share it.
///
/// The handler runs on a worker thread of its own event loop; callers' threads never touch the interpreter.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) core: Arc<EngineCore>,
    object: Arc<Deferred>,
    mailbox: Arc<Mailbox>,
    format: Format,
}

impl Engine {
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

    /// Copies an encoded request into memory of the engine's pool, as a server reads one from its socket.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`]: it is longer than one request may be; [`FailureKind::PoolExhausted`]: requests hold all
    /// that they may.
    pub fn body(&self, encoded: &[u8]) -> Result<Bytes, StreamError> {
        self.check_size(encoded.len())?;
        self.core.pool.inbound(encoded).map_err(|error| match error {
            PoolError::Oversized { .. } | PoolError::TooLong { .. } => too_large(error.to_string(), "max_live_bytes"),
            PoolError::Forked => forked(),
            PoolError::Exhausted => failed(FailureKind::PoolExhausted, "PoolExhausted", error.to_string()),
        })
    }

    /// Refuses an encoded request that the worker would refuse, before it is copied or sent anywhere.
    fn check_size(&self, len: usize) -> Result<(), StreamError> {
        let most = self.core.limits.max_frame_bytes;
        if len > most && self.format != Format::Raw {
            return Err(too_large(
                format!("a request of {len} bytes is over max_frame_bytes = {most}"),
                "max_frame_bytes",
            ));
        }
        Ok(())
    }

    /// Calls the handler with an encoded request; it is decoded on the worker, by the engine's codec.
    ///
    /// Nothing is awaited here; the stream yields frames as the handler yields items.
    ///
    /// # Errors
    /// [`FailureKind::Closed`], [`FailureKind::Overloaded`]; [`FailureKind::TooLarge`]: the request;
    /// [`FailureKind::InvalidArgument`]: the options.
    pub fn frames(&self, request: impl Into<Bytes>, options: CallOptions) -> Result<FrameStream, StreamError> {
        self.start(request.into(), options).inspect_err(|_| self.core.metrics.count_refused())
    }

    fn start(&self, request: Bytes, options: CallOptions) -> Result<FrameStream, StreamError> {
        crate::runtime::check_fork().map_err(|_| forked())?;
        if self.core.life() != Life::Serving {
            return Err(failed(FailureKind::Closed, "EngineClosed", "the engine is closed"));
        }
        self.check_size(request.len())?;
        options.check(&self.core.limits).map_err(StreamError::Failed)?;
        let core = StreamCore::new(Arc::clone(&self.core), Arc::clone(&self.mailbox), options, None, false);
        let start = Box::new(StartRequest {
            core: Arc::clone(&core),
            engine: Arc::clone(&self.object),
            request: Request::Encoded(request, RequestCodec::Engine),
            codec: None,
            context: None,
            framing: Framing::None,
        });
        match self.core.admission.enter(start, false) {
            Entry::Admitted(start) => {
                core.register();
                post_start(start);
            }
            Entry::Waiting => core.register(),
            Entry::Refused(_start, reason) => {
                let public = "the engine has no place for one more call";
                let mut failure = Failure::new(FailureKind::Overloaded, "Overloaded", public);
                failure.message = format!("engine {} has no place for one more call: {reason}", self.core.name);
                return Err(StreamError::Failed(Box::new(failure)));
            }
        }
        Ok(FrameStream::new(core))
    }

    /// Calls the handler with a value and decodes what it yields, both on the caller's threads.
    ///
    /// # Errors
    /// The request cannot be serialised; otherwise as [`Self::frames`].
    #[expect(clippy::unused_async, reason = "leaves room to serialise large requests elsewhere")]
    pub async fn generate<Req, Resp>(&self, request: Req, options: CallOptions) -> Result<ItemStream<Resp>, StreamError>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        let body = codec::to_bytes(self.format, &request).map_err(|error| {
            failed(FailureKind::InvalidArgument, "EncodeError", format!("request not encodable: {error}"))
        })?;
        Ok(ItemStream::new(self.frames(body, options)?, self.format))
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
