//! `MessagePack`.

mod cursor;
mod marker;
mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Msgpack;
