//! `MessagePack`.

mod cursor;
mod marker;
mod read;
mod shape;
mod unique;
mod write;

pub(super) use read::Reader;
pub(super) use unique::unique;
pub(super) use write::Msgpack;
