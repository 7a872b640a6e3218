//! The decoder: bytes into Python objects, whole or a stretch at a time.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::builder::{Builder, Values};
use super::read_limits::{ReadLimits, check_frame};
use super::reader::Reader;
use crate::error::{BoxedError, DecodeError, invalid, over};
use crate::limits::DuplicateKeys;
use crate::{CodecSpec, Limits};

/// Decodes one message, a stretch at a time, so that a large body does not stall the event loop.
///
/// Dropping it unfinished needs the interpreter, so it belongs on the worker.
#[derive(Debug)]
pub struct Decoder {
    limits: Arc<Limits>,
    input: Bytes,
    reader: Reader,
    values: Values,
    ended: bool,
}

impl Decoder {
    /// A decoder of `input`.
    pub fn new(spec: Arc<CodecSpec>, limits: Arc<Limits>, input: Bytes) -> Self {
        let reader = Reader::new(spec.format, ReadLimits::new(&limits, spec.any_keys));
        Self { limits, input, reader, values: Values::default(), ended: false }
    }

    /// Goes on for about `budget` input bytes; `None`: not finished, call again.
    ///
    /// # Errors
    /// The input is not a message of the format, or a limit was passed; or the decoder has given its value or an error.
    pub fn run(&mut self, py: Python<'_>, budget: usize) -> Result<Option<Py<PyAny>>, DecodeError> {
        if self.ended {
            return Err(invalid(self.reader.offset(), "nothing to decode after the end").into());
        }
        let pause = self.reader.work().saturating_add(budget.max(1));
        let done = build(py, &mut self.reader, &self.limits, &self.input, pause, &mut self.values);
        let done = done.map_err(DecodeError::from);
        self.ended = !matches!(done, Ok(None));
        done
    }

    /// Bytes of the Python objects made so far, estimated.
    pub fn decoded_bytes(&self) -> usize {
        self.values.spent
    }
}

/// Reads on until the message ends, and gives its value, or its work passes `pause`.
fn build(
    py: Python<'_>,
    reader: &mut Reader,
    limits: &Limits,
    input: &[u8],
    pause: usize,
    values: &mut Values,
) -> Result<Option<Py<PyAny>>, BoxedError> {
    check_frame(limits, input)?;
    let bound = limits.decoded_bound(input.len());
    let strict = (limits.duplicate_keys == DuplicateKeys::Error).then_some((reader.format(), limits, input));
    let mut to = Builder { py, values, bound, strict };
    match reader.run(input, pause, &mut to) {
        Ok(true) => to.finish().map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(match error.into() {
            DecodeError::Limit { limit, reason, .. } if limit == bound.field => over(limit, reader.offset(), reason),
            other => other.into(),
        }),
    }
}

/// Decodes one whole message.
///
/// # Errors
/// The input is not a message of the format, or a limit was passed.
pub fn decode(py: Python<'_>, spec: &CodecSpec, limits: &Limits, input: &[u8]) -> Result<Py<PyAny>, DecodeError> {
    let mut values = Values::new(py);
    let mut reader = Reader::new(spec.format, ReadLimits::new(limits, spec.any_keys));
    let done = build(py, &mut reader, limits, input, usize::MAX, &mut values);
    values.keep(py);
    match done {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Ok(PyBytes::new(py, input).into_any().unbind()),
        Err(error) => Err(error.into()),
    }
}
