//! JSON (RFC 8259).

mod cursor;
mod deserializer;
mod read;
mod read_decimal;
mod read_number;
mod read_string;
mod write;
mod write_ascii;
mod write_integer;
mod write_string;

pub(super) use deserializer::JsonDeserializer;
pub(super) use read::Reader;
pub(super) use write::JsonSerializer;
