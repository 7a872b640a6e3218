//! Bytes and text as they are.
#![allow(unsafe_code)] // reads the storage of bytes and str

use pybridge_pool::Writer;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};

use super::object;
use super::sink::Sink;
use super::{CodecSpec, Format, Framing, Limits, transcode};
use crate::error::EncodeError;

/// Immutable bytes from this length on are shared: below it a copy is cheaper than an owner.
const SHARED: usize = 64 << 10;

/// The object itself, where its memory can be the frame.
pub(super) fn shareable(
    item: &Bound<'_, PyAny>,
    spec: &CodecSpec,
    framing: Framing,
    limits: &Limits,
) -> Option<Py<PyBytes>> {
    if spec.format != Format::Raw || framing != Framing::None {
        return None;
    }
    let bytes = item.cast_exact::<PyBytes>().ok()?;
    let len = bytes.as_bytes().len();
    (len >= SHARED && len <= limits.max_frame_bytes).then(|| bytes.clone().unbind())
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
            let mut text = Vec::new();
            // SAFETY: the item is a str, alive for the call.
            let storage = unsafe { object::text(item.as_ptr()) };
            return match storage {
                object::Text::Utf8(text) => self.put(text.as_bytes(), out),
                wide => match transcode::append(&wide, &mut text) {
                    Ok(()) => self.put(&text, out),
                    Err(transcode::Surrogate(point)) => Err(refused(format!("str holds the surrogate U+{point:04X}"))),
                },
            };
        }
        if item.is_instance_of::<PyBytes>() || item.is_instance_of::<PyByteArray>() {
            // SAFETY: the item is bytes or bytearray, and no Python code runs while it is copied.
            return self.put(unsafe { object::bytes(item.as_ptr()) }, out);
        }
        let Ok(buffer) = PyUntypedBuffer::get(item) else {
            let name = item.get_type().fully_qualified_name().map_or_else(|_| "?".into(), |name| name.to_string());
            return Err(refused(format!("the raw codec takes bytes and str, not {name}")));
        };
        if buffer.len_bytes() > self.limits.max_frame_bytes {
            return Err(self.too_long());
        }
        let copy = item
            .py()
            .get_type::<PyBytes>()
            .call1((item,))
            .map_err(|error| EncodeError::Raised { path: "$".into(), error })?;
        match copy.cast_exact::<PyBytes>() {
            Ok(bytes) => self.put(bytes.as_bytes(), out),
            Err(_) => Err(refused("bytes() gave something else".into())),
        }
    }

    fn put(self, bytes: &[u8], out: &mut Writer) -> Result<(), EncodeError> {
        let mut sink = Sink::new(out, self.limits.max_frame_bytes);
        match self.framing {
            Framing::Ndjson if bytes.contains(&b'\n') => {
                return Err(refused("an NDJSON item with a newline".into()));
            }
            Framing::Sse => lines(bytes, &mut sink),
            Framing::None | Framing::Ndjson | Framing::Length => sink.put(bytes),
        }
        .map_err(|_| self.too_long())
    }

    #[cold]
    fn too_long(self) -> EncodeError {
        let reason = format!("more than {} bytes", self.limits.max_frame_bytes);
        EncodeError::Limit { limit: "max_frame_bytes", path: "$".into(), reason }
    }
}

/// Each line of `text` as a `data:` line of one event; CR, LF and CRLF end a line there.
fn lines(text: &[u8], sink: &mut Sink<'_>) -> Result<(), super::sink::Halt> {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        sink.put(&rest[..end])?;
        sink.put(b"\ndata: ")?;
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(crlf)..];
    }
    sink.put(rest)
}

#[cold]
fn refused(reason: String) -> EncodeError {
    EncodeError::Value { path: "$".into(), reason }
}
