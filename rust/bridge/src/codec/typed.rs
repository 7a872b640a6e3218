//! Rust values without the interpreter.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::Guard;
use super::limits::DuplicateKeys;
use super::{Format, Limits, msgpack, scan};
use crate::error::{DecodeError, EncodeError};

/// Decodes a frame into a Rust value.
///
/// The frame is scanned first, so that the limits hold and nothing depends on a format crate's own guards. Of keys that
/// come twice the last wins, for structs as well, unless the limits refuse them.
///
/// # Errors
/// The frame is not a message of the format, a limit was passed, or the value is not a `T`.
pub fn from_frame<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    scan(format, limits, frame)?;
    read(format, limits, frame).or_else(|error| match without_repeated_keys(format, limits, frame) {
        Some(frame) => read(format, limits, &frame),
        None => Err(error),
    })
}

fn read<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    match format {
        Format::Msgpack => {
            let mut from = rmp_serde::Deserializer::from_read_ref(frame);
            from.set_max_depth(limits.max_depth.saturating_add(1));
            T::deserialize(Guard::new(&mut from)).map_err(mismatch)
        }
        Format::Json => {
            let mut from = serde_json::Deserializer::from_slice(frame);
            from.disable_recursion_limit();
            T::deserialize(Guard::new(&mut from)).map_err(mismatch)
        }
        Format::Raw => {
            let bytes = serde::de::value::BytesDeserializer::<serde::de::value::Error>::new(frame);
            T::deserialize(Guard::new(bytes)).map_err(mismatch)
        }
    }
}

#[cold]
fn mismatch(error: impl std::error::Error) -> DecodeError {
    DecodeError::Mismatch { reason: error.to_string() }
}

/// The same message without the earlier values of keys that come twice, which derived structs refuse; `None` if there are
/// no such keys, or the limits refuse them.
#[cold]
fn without_repeated_keys(format: Format, limits: &Limits, frame: &[u8]) -> Option<Vec<u8>> {
    let strict = Limits { duplicate_keys: DuplicateKeys::Error, ..limits.clone() };
    if scan(format, &strict, frame).is_ok() {
        return None;
    }
    match format {
        Format::Msgpack => msgpack::unique(frame).ok(),
        Format::Json => {
            let value: serde_json::Value = read(format, limits, frame).ok()?;
            serde_json::to_vec(&value).ok()
        }
        Format::Raw => None,
    }
}

/// Encodes a Rust value, structs as maps.
///
/// # Errors
/// The value refuses to be serialized, or the format cannot hold it.
pub fn to_bytes<T: Serialize + ?Sized>(format: Format, value: &T) -> Result<Vec<u8>, EncodeError> {
    let refused = |reason: String| EncodeError::Value { path: "$".into(), reason };
    match format {
        Format::Msgpack => rmp_serde::to_vec_named(value).map_err(|error| refused(error.to_string())),
        Format::Json => serde_json::to_vec(value).map_err(|error| refused(error.to_string())),
        Format::Raw => Err(refused("the raw codec has no typed values".into())),
    }
}
