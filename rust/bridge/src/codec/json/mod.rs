//! JSON (RFC 8259).

mod ascii;
mod cursor;
mod decimal;
mod digits;
mod escape;
mod number;
mod read;
mod text;
mod write;

pub(super) use read::Reader;
pub(super) use write::Json;
