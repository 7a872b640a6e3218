//! The reader of one message in any format.

use super::read_limits::ReadLimits;
use super::visitor::Visitor;
use crate::error::BoxedError;
use crate::{Format, json, msgpack};

/// The reader of one format.
#[derive(Debug)]
pub(super) enum Reader {
    Msgpack(msgpack::Reader),
    Json(json::Reader),
    Raw,
}

impl Reader {
    pub(super) fn new(format: Format, limits: ReadLimits) -> Self {
        match format {
            Format::Msgpack => Self::Msgpack(msgpack::Reader::new(limits)),
            Format::Json => Self::Json(json::Reader::new(limits)),
            Format::Raw => Self::Raw,
        }
    }

    /// The format that it reads.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Msgpack(_) => Format::Msgpack,
            Self::Json(_) => Format::Json,
            Self::Raw => Format::Raw,
        }
    }

    /// Offset of the next byte.
    pub(super) fn offset(&self) -> usize {
        match self {
            Self::Msgpack(reader) => reader.offset(),
            Self::Json(reader) => reader.offset(),
            Self::Raw => 0,
        }
    }

    /// What was done so far, in input bytes.
    pub(super) fn work(&self) -> usize {
        match self {
            Self::Msgpack(reader) => reader.work(),
            Self::Json(reader) => reader.work(),
            Self::Raw => 0,
        }
    }

    /// Reads on until the message ends (true) or its work passes `pause` (false).
    #[inline]
    pub(super) fn run(&mut self, input: &[u8], pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        match self {
            Self::Msgpack(reader) => reader.run(input, pause, to),
            Self::Json(reader) => reader.run(input, pause, to),
            Self::Raw => to.bytes(input).map(|()| true),
        }
    }
}
