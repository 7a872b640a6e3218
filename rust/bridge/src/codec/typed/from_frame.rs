//! Rust values without the interpreter.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::recursion_limit::Guard;
use crate::codec::error::{DecodeError, EncodeError};
use crate::codec::limits::DuplicateKeys;
use crate::codec::stack_limit::{self, Room};
use crate::codec::{Format, Limits, json, msgpack, scan};

/// Decodes a frame into a Rust value.
///
/// The frame is scanned first, so that the limits hold and nothing depends on a format crate's own guards. Of keys that
/// come twice the last wins, for structs as well, unless the limits refuse them.
///
/// # Errors
/// The frame is not a message of the format, a limit was passed, or the value is not a `T`.
pub fn from_frame<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    scan(format, limits, frame)?;
    read(format, limits, frame).or_else(|error| match without_repeated_keys(format, limits, frame)? {
        Some(frame) => read(format, limits, &frame),
        None => Err(error),
    })
}

fn read<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    let room = Room::new(stack_limit::FOR_LEAVES + stack_limit::FOR_CODE);
    let done = match format {
        Format::Msgpack => {
            let mut from = rmp_serde::Deserializer::from_read_ref(frame);
            from.set_max_depth(limits.depth() + 1);
            T::deserialize(Guard::new(&mut from, &room)).map_err(mismatch)
        }
        Format::Json => {
            let mut from = json::JsonDeserializer::new(frame);
            T::deserialize(Guard::new(&mut from, &room)).map_err(mismatch)
        }
        Format::Raw => {
            let bytes = serde::de::value::BytesDeserializer::<serde::de::value::Error>::new(frame);
            T::deserialize(Guard::new(bytes, &room)).map_err(mismatch)
        }
    };
    if room.is_used_up() { done.map_err(|_| too_small_a_stack()) } else { done }
}

#[cold]
fn too_small_a_stack() -> DecodeError {
    DecodeError::Limit { limit: "max_depth", offset: 0, reason: stack_limit::TOO_SMALL.into() }
}

#[cold]
fn mismatch(error: impl std::error::Error) -> DecodeError {
    DecodeError::Mismatch { reason: error.to_string() }
}

/// The same message without the earlier values of keys that come twice, which derived structs refuse; `None` if there are
/// no such keys, or the limits refuse them.
#[cold]
fn without_repeated_keys(format: Format, limits: &Limits, frame: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let strict = Limits { duplicate_keys: DuplicateKeys::Error, ..limits.clone() };
    if scan(format, &strict, frame).is_ok() {
        return Ok(None);
    }
    Ok(match format {
        Format::Msgpack => Some(msgpack::unique(frame)?),
        Format::Json => {
            let value: serde_json::Value = read(format, limits, frame)?;
            serde_json::to_vec(&value).ok()
        }
        Format::Raw => None,
    })
}

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
