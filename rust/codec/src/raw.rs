//! The raw format: bytes and text as they are.
#![allow(unsafe_code)] // reads the storage of bytes and str

use pybridge_base::exception::said;
use pybridge_pool::Writer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};

use crate::encode::frame_sink::Sink;
use crate::error::EncodeError;
use crate::py::buffer::View;
use crate::py::layout;
use crate::py::str_layout::{self, Text};
use crate::sse_lines::Lines;
use crate::{CodecSpec, Format, Framing, Limits};

/// Immutable bytes from this length on are shared: below it a copy is cheaper than an owner.
const SHARED: usize = 64 << 10;

/// The object itself, where its memory can be the frame.
pub(super) fn shareable<'a, 'py>(
    item: &'a Bound<'py, PyAny>,
    spec: &CodecSpec,
    framing: Framing,
    limits: &Limits,
) -> Option<&'a Bound<'py, PyBytes>> {
    if spec.format != Format::Raw || framing != Framing::None {
        return None;
    }
    let bytes = item.cast_exact::<PyBytes>().ok()?;
    let len = bytes.as_bytes().len();
    (len >= SHARED && len <= limits.max_frame_bytes).then_some(bytes)
}

/// Writes bytes-like objects and text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) framing: Framing,
    pub(super) limits: &'a Limits,
}

impl Raw<'_> {
    pub(super) fn write(self, item: &Bound<'_, PyAny>, out: &mut Writer) -> Result<(), EncodeError> {
        if item.is_instance_of::<PyString>() {
            // SAFETY: the item is a str, alive for the call.
            return self.text(&unsafe { str_layout::text(item.as_ptr()) }, out);
        }
        if item.is_instance_of::<PyBytes>() || item.is_instance_of::<PyByteArray>() {
            // SAFETY: the item is bytes or bytearray, and no Python code runs while it is copied.
            return self.put(unsafe { layout::bytes(item.as_ptr()) }, out);
        }
        let py = item.py();
        let raised = |error| EncodeError::Raised { path: "$".into(), reason: said(&error), error };
        let view = View::of(item).map_err(|error| {
            if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyBufferError>(py) {
                let name = item.get_type().fully_qualified_name().map_or_else(|_| "?".into(), |name| name.to_string());
                return refused(format!("the raw codec takes bytes and str, not {name}"));
            }
            raised(error)
        })?;
        if view.len() > self.limits.max_frame_bytes {
            return Err(self.too_long());
        }
        self.put(&view.bytes(py).map_err(raised)?, out)
    }

    fn text(self, text: &Text<'_>, out: &mut Writer) -> Result<(), EncodeError> {
        if let Text::Utf8(text) = text {
            return self.put(text.as_bytes(), out);
        }
        let mut pieces = Pieces::new(self, out);
        pieces.sink.expect(text.utf8_len(), text.utf8_len()).map_err(|_| self.too_long())?;
        text.for_each_block(|| refused(text.surrogate_reason()), |piece| pieces.put(piece.as_bytes()))?;
        pieces.finish()
    }

    fn put(self, bytes: &[u8], out: &mut Writer) -> Result<(), EncodeError> {
        let mut pieces = Pieces::new(self, out);
        pieces.put(bytes)?;
        pieces.finish()
    }

    #[cold]
    fn too_long(self) -> EncodeError {
        let reason = format!("more than {} bytes", self.limits.max_frame_bytes);
        EncodeError::Limit { limit: "max_frame_bytes", path: "$".into(), reason }
    }
}

/// An item on its way into its frame, piece by piece.
struct Pieces<'a, 'w> {
    raw: Raw<'a>,
    sink: Sink<'w>,
    lines: Lines,
}

impl<'a, 'w> Pieces<'a, 'w> {
    fn new(raw: Raw<'a>, out: &'w mut Writer) -> Self {
        Self { raw, sink: Sink::new(out, raw.limits.max_frame_bytes), lines: Lines::default() }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match self.raw.framing {
            Framing::Ndjson if bytes.contains(&b'\n') => {
                return Err(refused("an NDJSON item with a newline".into()));
            }
            Framing::Sse => self.lines.put(bytes, &mut self.sink),
            Framing::None | Framing::Ndjson | Framing::Length => self.sink.put(bytes),
        }
        .map_err(|_| self.raw.too_long())
    }

    fn finish(mut self) -> Result<(), EncodeError> {
        self.sink.finish().map_err(|_| self.raw.too_long())
    }
}

#[cold]
fn refused(reason: String) -> EncodeError {
    EncodeError::Value { path: "$".into(), reason }
}
