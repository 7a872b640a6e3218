//! `MessagePack`.

mod cursor;
mod dedup_keys;
mod marker;
mod read;
mod write;
mod write_integer;

pub(super) use dedup_keys::dedup_keys;
pub(super) use read::Reader;
pub(super) use write::MsgpackSerializer;
