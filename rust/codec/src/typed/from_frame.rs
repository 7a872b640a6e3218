//! A Rust value from a frame, without the interpreter.

use serde::de::DeserializeOwned;

use super::recursion_limit::RecursionLimit;
use crate::error::DecodeError;
use crate::limits::DuplicateKeys;
use crate::stack_limit::{self, Room};
use crate::{Format, Limits, json, msgpack, scan};

/// Decodes a frame into a Rust value.
///
/// The frame is scanned first, so that the limits hold and nothing depends on a format crate's own guards. Of keys that
/// come twice the last wins, for structs as well, unless the limits refuse them.
///
/// # Errors
/// The frame is not a message of the format, a limit was passed, or the value is not a `T`.
pub fn from_frame<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    scan(format, limits, frame)?;
    read(format, limits, frame).or_else(|error| match dedup_keys(format, limits, frame)? {
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
            T::deserialize(RecursionLimit::new(&mut from, &room)).map_err(mismatch)
        }
        Format::Json => {
            let mut from = json::JsonDeserializer::new(frame);
            T::deserialize(RecursionLimit::new(&mut from, &room)).map_err(mismatch)
        }
        Format::Raw => {
            let bytes = serde::de::value::BytesDeserializer::<serde::de::value::Error>::new(frame);
            T::deserialize(RecursionLimit::new(bytes, &room)).map_err(mismatch)
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
fn dedup_keys(format: Format, limits: &Limits, frame: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let strict = Limits { duplicate_keys: DuplicateKeys::Error, ..limits.clone() };
    if scan(format, &strict, frame).is_ok() {
        return Ok(None);
    }
    Ok(match format {
        Format::Msgpack => Some(msgpack::dedup_keys(frame)?),
        Format::Json => {
            let value: serde_json::Value = read(format, limits, frame)?;
            serde_json::to_vec(&value).ok()
        }
        Format::Raw => None,
    })
}
