//! A Rust value to bytes, without the interpreter.

use std::io::{self, Write};

use serde::Serialize;

use crate::Format;
use crate::error::EncodeError;
use crate::stack_limit::{self, Room};

/// Encodes a Rust value, structs as maps.
///
/// # Errors
/// The value refuses to be serialized, or the format cannot hold it, or it nests deeper than the thread's stack holds.
pub fn to_bytes<T: Serialize + ?Sized>(format: Format, value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Output { bytes: Vec::new(), room: Room::new(stack_limit::FOR_LEAVES + stack_limit::FOR_CODE) };
    let done = match format {
        Format::Msgpack => rmp_serde::encode::write_named(&mut out, value).map_err(|error| error.to_string()),
        Format::Json => serde_json::to_writer(&mut out, value).map_err(|error| error.to_string()),
        Format::Raw => Err("the raw codec has no typed values".into()),
    };
    match done {
        Ok(()) => Ok(out.bytes),
        Err(_) if out.room.is_used_up() => {
            Err(EncodeError::Limit { limit: "max_depth", path: "$".into(), reason: stack_limit::TOO_SMALL.into() })
        }
        Err(reason) => Err(EncodeError::Value { path: "$".into(), reason }),
    }
}

/// Where a value is written; each container writes before what it holds does, so that nesting ends here.
struct Output {
    bytes: Vec<u8>,
    room: Room,
}

impl Write for Output {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.room.holds(0) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
