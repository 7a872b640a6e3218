//! The JSON deserializer, for Rust values.

mod enum_variant;
mod input;
mod map_key;
mod values;

pub(crate) use input::JsonDeserializer;
