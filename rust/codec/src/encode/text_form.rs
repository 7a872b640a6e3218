//! The text that an object is encoded as: a short line of ASCII, a longer string, or a `str`.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Bytes of the longest time: `2024-12-31T23:59:59.999999999+23:59`, and of a UUID.
const LONGEST: usize = 36;

/// The text that stands for an object.
pub(super) enum TextForm<'py> {
    Short(AsciiLine),
    Long(String),
    Object(Bound<'py, PyString>),
    /// It is not a time.
    Null,
    /// It has no standard form.
    None,
}

/// ASCII text of a known greatest length.
pub(super) struct AsciiLine {
    bytes: [u8; LONGEST],
    len: usize,
}

impl AsciiLine {
    pub(super) fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    pub(super) fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// `value` in `width` decimal digits.
    pub(super) fn digits(&mut self, value: u32, width: u32) {
        for place in (0..width).rev() {
            self.put(b'0' + (value / 10_u32.pow(place) % 10) as u8);
        }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}
