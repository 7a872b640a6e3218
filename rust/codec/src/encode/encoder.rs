//! The encoder of a stream: one item into one frame.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pybridge_base::fault;
use pybridge_pool::Writer;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::Serialize;

use super::frame_sink::Sink;
use super::walk::{Walk, Writing};
use crate::error::EncodeError;
use crate::json::JsonSerializer;
use crate::msgpack::MsgpackSerializer;
use crate::raw::{self, Raw};
use crate::{CodecSpec, Format, Framing, Limits};

/// Frames from this length on are expected to be followed by one as long; shorter ones grow in their segment.
const WORTH_A_HINT: usize = 64 << 10;

/// Makes a frame of a `bytes` object without a copy.
pub trait Keep: fmt::Debug + Send {
    /// The object's memory, which holds the object; dropping it must not need the interpreter.
    fn keep(&self, object: &Bound<'_, PyBytes>) -> Bytes;
}

/// Encodes the items of one stream.
#[derive(Debug)]
pub struct Encoder {
    spec: Arc<CodecSpec>,
    framing: Framing,
    limits: Arc<Limits>,
    keep: Option<Box<dyn Keep>>,
    default: Option<Py<PyAny>>,
    model_dump: Option<Py<PyDict>>,
    /// Length of the last frame, if it was a large one; else 0.
    expected: usize,
    /// Python code ran while the last item was written.
    by_snapshot: bool,
}

/// Why an item was not written.
enum Stop {
    /// Python code has to run, which takes snapshots of containers.
    NeedsSnapshots,
    Refused(EncodeError),
}

impl From<EncodeError> for Stop {
    fn from(error: EncodeError) -> Self {
        Self::Refused(error)
    }
}

impl Encoder {
    /// An encoder for one stream.
    pub fn new(spec: Arc<CodecSpec>, framing: Framing, limits: Arc<Limits>) -> Self {
        Self { spec, framing, limits, keep: None, default: None, model_dump: None, expected: 0, by_snapshot: false }
    }

    /// Lets the raw codec, where it has no framing, share immutable `bytes` of 64 KiB and more instead of copying them.
    #[must_use]
    pub fn with_keep(self, keep: Box<dyn Keep>) -> Self {
        Self { keep: Some(keep), ..self }
    }

    /// Has objects that the walker does not know converted by `default(object)`.
    #[must_use]
    pub fn with_default(self, default: Option<Py<PyAny>>) -> Self {
        Self { default, ..self }
    }

    /// Has the serializers of pydantic models called with these arguments.
    #[must_use]
    pub fn with_model_dump(self, model_dump: Option<Py<PyDict>>) -> Self {
        Self { model_dump, ..self }
    }

    /// The format of its frames.
    #[doc(hidden)]
    pub fn format(&self) -> Format {
        self.spec.format
    }

    /// Shows what it holds to the collector, on behalf of the Python object that owns the encoder.
    #[doc(hidden)]
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.default)?;
        visit.call(&self.model_dump)
    }

    /// Writes `item` as exactly one committed frame of `out`, framing included; after an error `out` is as it was.
    /// Returns the frame's length in bytes.
    ///
    /// # Errors
    /// The item, or something in it, cannot be encoded; or a limit was passed.
    #[inline]
    pub fn encode(&mut self, item: &Bound<'_, PyAny>, out: &mut Writer) -> Result<usize, EncodeError> {
        if let Some(keep) = &self.keep
            && let Some(shared) = raw::shareable(item, &self.spec, self.framing, &self.limits)
        {
            let shared = keep.keep(shared);
            let length = shared.len();
            out.share(shared);
            return Ok(length);
        }
        let Self { spec, framing, limits, default, model_dump, expected, by_snapshot, .. } = self;
        let writing =
            Writing { spec, framing: *framing, limits, default: default.as_ref(), model_dump: model_dump.as_ref() };
        writing.write(item, out, *expected, by_snapshot)?;
        let length = out.frame_len();
        *expected = if length >= WORTH_A_HINT { length } else { 0 };
        out.commit();
        Ok(length)
    }
}

impl Writing<'_> {
    /// Writes `item` as the open frame of `out`; after an error none is open. `expected`: its length, 0 if unknown.
    /// `by_snapshot`: Python code is expected to run; becomes whether it did.
    #[doc(hidden)]
    #[inline]
    pub fn write(
        &self,
        item: &Bound<'_, PyAny>,
        out: &mut Writer,
        expected: usize,
        by_snapshot: &mut bool,
    ) -> Result<(), EncodeError> {
        loop {
            out.begin(expected);
            fault::reach(fault::Point::Acquire);
            let Err(stop) = self.frame(item, out, by_snapshot) else { return Ok(()) };
            out.abort();
            if let Stop::Refused(error) = stop {
                return Err(error);
            }
        }
    }

    fn frame(&self, item: &Bound<'_, PyAny>, out: &mut Writer, by_snapshot: &mut bool) -> Result<(), Stop> {
        self.framing.open(out);
        match self.spec.format {
            Format::Msgpack if self.framing.is_text() => return Err(text_framing().into()),
            Format::Msgpack => self.msgpack(item, out, by_snapshot)?,
            Format::Json => self.json(item, out, by_snapshot)?,
            Format::Raw => Raw { framing: self.framing, limits: self.limits }.write(item, out)?,
        }
        self.framing.close(out);
        Ok(())
    }

    fn msgpack(&self, item: &Bound<'_, PyAny>, out: &mut Writer, by_snapshot: &mut bool) -> Result<(), Stop> {
        let walk = Walk::new(item.py(), self, *by_snapshot);
        let mut to = MsgpackSerializer::new(Sink::new(out, self.limits.max_frame_bytes));
        let done = walk.root(item).serialize(&mut to).and_then(|()| to.sink.finish());
        *by_snapshot = walk.runs() > 0;
        done.map_err(|halt| self.failed(&walk, &to.sink, &halt))
    }

    fn json(&self, item: &Bound<'_, PyAny>, out: &mut Writer, by_snapshot: &mut bool) -> Result<(), Stop> {
        let walk = Walk::new(item.py(), self, *by_snapshot);
        let sink = Sink::new(out, self.limits.max_frame_bytes);
        let mut to = JsonSerializer::new(sink, self.spec, self.framing);
        let done = walk.root(item).serialize(&mut to).and_then(|()| to.finish());
        *by_snapshot = walk.runs() > 0;
        done.map_err(|halt| self.failed(&walk, &to.sink, &halt))
    }

    #[cold]
    fn failed(&self, walk: &Walk<'_, '_>, sink: &Sink<'_>, halt: &dyn fmt::Display) -> Stop {
        if walk.runs() > 0 && !walk.by_snapshot {
            return Stop::NeedsSnapshots;
        }
        Stop::Refused(match walk.to_error(halt) {
            EncodeError::Value { path, .. } if sink.is_full() => EncodeError::Limit {
                limit: "max_frame_bytes",
                path,
                reason: format!("more than {} bytes", self.limits.max_frame_bytes),
            },
            error => error,
        })
    }
}

#[cold]
fn text_framing() -> EncodeError {
    EncodeError::Value { path: "$".into(), reason: "SSE and NDJSON frames hold text; MessagePack is binary".into() }
}
