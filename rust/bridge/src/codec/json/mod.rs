//! JSON (RFC 8259).

mod ascii;
mod cursor;
mod decimal;
mod deserializer;
mod digits;
mod escape;
mod keys;
mod number;
mod read;
mod text;
mod variants;
mod write;

pub(super) use deserializer::JsonDeserializer;
pub(super) use read::Reader;
pub(super) use write::Json;
