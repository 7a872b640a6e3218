//! JSON for serde's `Deserializer`.

mod enum_variant;
mod map_key;
mod values;

pub(in crate::codec) use values::JsonDeserializer;
