//! Encoding: Python objects to bytes.

mod by_kind;
pub(super) mod compound;
mod containers;
mod default_hook;
mod depth_limit;
mod dict_key;
mod durations;
mod encoder;
mod kind;
mod numpy;
mod path;
mod pydantic;
mod records;
pub(super) mod sink;
mod snapshot;
mod temporal;
mod text_form;
mod type_cache;
pub(super) mod unsupported;
pub(super) mod utf8_out;
mod value;
mod walk;

pub use encoder::{Encoder, Keep};
pub use walk::Writing;
