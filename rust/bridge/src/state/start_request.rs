//! A stream that has not begun: its request, and what it is started with.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;

use super::stream_state::StreamState;
use crate::base::deferred_release::LoopOwned;
use crate::codec::{CodecSpec, Format, Framing};
use crate::error::FailureKind;

/// What the handler gets.
pub(crate) enum Request {
    /// The caller's very object.
    Object(LoopOwned),
    /// Encoded; decoded on the worker right before the handler's first step.
    Encoded(Bytes, RequestCodec),
}

/// How an encoded request is decoded.
#[derive(Debug, Clone)]
pub(crate) enum RequestCodec {
    /// By the engine's codec.
    Engine,
    /// By a codec of the call's own.
    Plain(Arc<CodecSpec>),
}

impl RequestCodec {
    /// That of a format without options.
    pub(crate) fn of(format: Format) -> Self {
        Self::Plain(Arc::new(CodecSpec::from(format)))
    }
}

/// How items are encoded.
pub(crate) enum ItemCodec {
    /// By the engine's codec.
    Engine,
    /// By a codec of the call's own: a Python `Codec` object.
    Own(LoopOwned),
    /// In this format, with the hooks of the engine's codec.
    Format(Format),
}

/// A stream that has not begun.
pub(crate) struct StartRequest {
    pub(crate) stream: Arc<StreamState>,
    /// The Python engine object, kept alive while the request waits.
    pub(crate) engine: Arc<LoopOwned>,
    pub(crate) request: Request,
    pub(crate) codec: ItemCodec,
    /// The caller's `contextvars` copy; `None`: the engine's.
    pub(crate) context: Option<LoopOwned>,
    pub(crate) framing: Framing,
}

// Callers allocate it and the worker frees it. glibc frees blocks of up to 120 bytes without the lock of the heap that they
// came from; with that lock, the worker and its callers wait for each other, and a call costs 7 % more CPU.
const _: () = assert!(size_of::<StartRequest>() <= 120);

impl StartRequest {
    /// Starts it, on its worker; `worker` is the worker's object.
    pub(crate) fn begin(self: Box<Self>, py: Python<'_>, worker: &Bound<'_, PyAny>) {
        let begin = self.stream.engine.hooks.begin;
        begin(py, worker, self);
    }

    /// Bytes that are decoded when it starts.
    pub(crate) fn encoded_len(&self) -> usize {
        match &self.request {
            Request::Object(_) => 0,
            Request::Encoded(bytes, _) => bytes.len(),
        }
    }

    /// Ends it because its worker is gone.
    pub(crate) fn refuse(self) {
        self.stream.refuse(FailureKind::Closed, "EngineClosed", "the worker of this engine has stopped");
        // It may have ended before it was admitted; then the ending gave no place back.
        self.stream.engine.release_place(&self.stream);
    }
}
