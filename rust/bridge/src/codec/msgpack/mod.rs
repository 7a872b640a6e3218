//! `MessagePack`.

mod cursor;
mod dedup_keys;
mod marker;
mod read;
mod write;
mod write_integer;

pub(super) use dedup_keys::unique;
pub(super) use read::Reader;
pub(super) use write::Msgpack;
