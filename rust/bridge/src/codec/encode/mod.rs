//! Python objects to bytes: one item into one frame.

mod by_kind;
mod containers;
mod dict_key;
mod durations;
mod encoder;
mod numpy;
pub(super) mod path;
mod pydantic;
mod records;
pub(super) mod sink;
mod snapshot;
mod temporal;
mod type_cache;
pub(super) mod unsupported;
pub(super) mod utf8_out;
mod value;
mod walk;

pub(crate) use encoder::Writing;
pub use encoder::{Encoder, Keep};
