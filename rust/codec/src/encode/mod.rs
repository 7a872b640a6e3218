//! Encoding: Python objects to bytes.

pub(super) mod arrays_and_maps;
mod by_kind;
mod containers_by_snapshot;
mod containers_in_place;
mod dataclasses;
mod datetime_uuid_decimal;
mod default_hook;
mod depth_limit;
mod dict_key;
mod durations;
mod encoder;
mod error_path;
pub(super) mod frame_sink;
mod kind;
mod numpy;
mod pydantic;
mod text_form;
mod type_cache;
pub(super) mod unused_serializer_methods;
pub(super) mod utf8_out;
mod value;
mod walk;

pub use encoder::{Encoder, Keep};
pub use walk::Writing;
