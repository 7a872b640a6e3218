//! One call: who takes its items, what its handler is called with, and what a call from Python asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pyo3::prelude::*;

use super::core::StreamCore;
use super::options::CallOptions;
use crate::codec::{CodecSpec, Framing};
use crate::engine::PyEngine;

/// What `__anext__` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Values decoded from their frames.
    Items,
    /// Frames.
    Frames,
    /// All frames that are there, framing included, as one `bytes`.
    Chunks,
}

/// Who takes a stream's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerKind {
    /// Python code, which gets the handler's exceptions as well.
    Python,
    /// A server on an event loop: what a client is told is all that it has of an exception.
    Server,
    /// A task of tokio.
    Rust,
}

/// What a handler is called with.
pub(crate) enum CallRequest {
    /// This very object.
    Object(Py<PyAny>),
    /// What these bytes, or this text, stand for.
    Encoded(Py<PyAny>, Arc<CodecSpec>),
    /// What a body stands for that has arrived already; in the engine's format unless the options say another.
    Body(Bytes),
}

/// What one call asks for, kept until the stream starts.
pub(crate) struct Call {
    pub(crate) engine: Py<PyEngine>,
    pub(crate) request: CallRequest,
    pub(crate) codec: Option<Py<PyAny>>,
    pub(crate) context: Py<PyAny>,
    pub(crate) framing: Framing,
    /// Shortest time between two chunks.
    pub(crate) flush_interval: Duration,
    pub(crate) options: CallOptions,
    pub(crate) parent: Option<Arc<StreamCore>>,
    pub(crate) consumer: ConsumerKind,
}
