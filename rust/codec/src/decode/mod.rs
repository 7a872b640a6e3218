//! Decoding: bytes to Python objects.

mod builder;
mod decoded_size_limit;
mod decoder;
mod dict_templates;
mod key_cache;
pub(super) mod nesting;
pub(super) mod read_limits;
mod reader;
mod utf8_in;
mod validate;
pub(super) mod visitor;

pub use decoder::{Decoder, decode};
pub use validate::scan;
