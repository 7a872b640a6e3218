//! Rust values without the interpreter.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Format, Limits, scan};
use crate::error::{DecodeError, EncodeError};

/// Decodes a frame into a Rust value.
///
/// The frame is scanned first, so that the limits hold and nothing depends on a format crate's own guards.
///
/// # Errors
/// The frame is not a message of the format, a limit was passed, or the value is not a `T`.
pub fn from_frame<T: DeserializeOwned>(format: Format, limits: &Limits, frame: &[u8]) -> Result<T, DecodeError> {
    scan(format, limits, frame)?;
    let mismatch = |reason: String| DecodeError::Mismatch { reason };
    match format {
        Format::Msgpack => {
            let mut from = rmp_serde::Deserializer::from_read_ref(frame);
            from.set_max_depth(limits.max_depth.saturating_add(1));
            T::deserialize(&mut from).map_err(|error| mismatch(error.to_string()))
        }
        Format::Json => {
            let mut from = serde_json::Deserializer::from_slice(frame);
            from.disable_recursion_limit();
            T::deserialize(&mut from).map_err(|error| mismatch(error.to_string()))
        }
        Format::Raw => {
            let bytes = serde::de::value::BytesDeserializer::<serde::de::value::Error>::new(frame);
            T::deserialize(bytes).map_err(|error| mismatch(error.to_string()))
        }
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
