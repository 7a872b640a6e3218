//! Bytes to Python objects.

mod builder;
mod decoder;
mod dict_templates;
mod key_cache;
mod utf8_in;
mod validate;
pub(super) mod visitor;

pub use decoder::{Decoder, decode};
pub use validate::scan;
