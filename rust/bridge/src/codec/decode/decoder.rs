//! Bytes into Python objects.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::builder::{Builder, Values};
use super::visitor::{Budget, Fault, Receiver, check_frame, invalid, over};
use crate::codec::error::DecodeError;
use crate::codec::limits::DuplicateKeys;
use crate::codec::{CodecSpec, Format, Limits, json, msgpack};

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

/// The reader of one format.
#[derive(Debug)]
enum Reader {
    Msgpack(msgpack::Reader),
    Json(json::Reader),
    Raw,
}

impl Decoder {
    /// A decoder of `input`.
    pub fn new(spec: Arc<CodecSpec>, limits: Arc<Limits>, input: Bytes) -> Self {
        let reader = Reader::new(&spec, &limits);
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
        let done = self.reader.run(py, &self.limits, &self.input, pause, &mut self.values).map_err(DecodeError::from);
        self.ended = !matches!(done, Ok(None));
        done
    }

    /// Bytes of the Python objects made so far, estimated.
    pub fn decoded_bytes(&self) -> usize {
        self.values.spent
    }
}

impl Reader {
    fn new(spec: &CodecSpec, limits: &Limits) -> Self {
        let budget = Budget::new(limits, spec.any_keys);
        match spec.format {
            Format::Msgpack => Self::Msgpack(msgpack::Reader::new(budget)),
            Format::Json => Self::Json(json::Reader::new(budget)),
            Format::Raw => Self::Raw,
        }
    }

    fn offset(&self) -> usize {
        match self {
            Self::Msgpack(reader) => reader.offset(),
            Self::Json(reader) => reader.offset(),
            Self::Raw => 0,
        }
    }

    /// What was done so far, in input bytes.
    fn work(&self) -> usize {
        match self {
            Self::Msgpack(reader) => reader.work(),
            Self::Json(reader) => reader.work(),
            Self::Raw => 0,
        }
    }

    fn run(
        &mut self,
        py: Python<'_>,
        limits: &Limits,
        input: &[u8],
        pause: usize,
        values: &mut Values,
    ) -> Result<Option<Py<PyAny>>, Fault> {
        check_frame(limits, input)?;
        let bound = limits.decoded_bound(input.len());
        let format = if matches!(self, Self::Json(_)) { Format::Json } else { Format::Msgpack };
        let strict = (limits.duplicate_keys == DuplicateKeys::Error).then_some((format, limits, input));
        let mut to = Builder { py, values, bound, strict };
        let done = match self {
            Self::Msgpack(reader) => reader.run(input, pause, &mut to),
            Self::Json(reader) => reader.run(input, pause, &mut to),
            Self::Raw => to.bytes(input).map(|()| true),
        };
        match done {
            Ok(true) => to.finish().map(Some),
            Ok(false) => Ok(None),
            Err(fault) => Err(match fault.into() {
                DecodeError::Limit { limit, reason, .. } if limit == bound.field => over(limit, self.offset(), reason),
                other => other.into(),
            }),
        }
    }
}

/// Decodes one whole message.
///
/// # Errors
/// The input is not a message of the format, or a limit was passed.
pub fn decode(py: Python<'_>, spec: &CodecSpec, limits: &Limits, input: &[u8]) -> Result<Py<PyAny>, DecodeError> {
    let mut values = Values::new(py);
    let done = Reader::new(spec, limits).run(py, limits, input, usize::MAX, &mut values);
    values.keep(py);
    match done {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Ok(PyBytes::new(py, input).into_any().unbind()),
        Err(fault) => Err(fault.into()),
    }
}
