//! The request of one call from Python, with its options.

use std::sync::Arc;

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

/// What one call asks for, kept until the stream starts.
pub(crate) struct Call {
    pub(crate) engine: Py<PyEngine>,
    pub(crate) request: Py<PyAny>,
    pub(crate) encoded: Option<Arc<CodecSpec>>,
    pub(crate) codec: Option<Py<PyAny>>,
    pub(crate) context: Py<PyAny>,
    pub(crate) framing: Framing,
    pub(crate) options: CallOptions,
    pub(crate) parent: Option<Arc<StreamCore>>,
}
