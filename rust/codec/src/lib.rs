#![doc = include_str!("../README.md")]

mod error;
mod format;
mod framing;
mod limits;
mod simd;
mod sse_lines;
mod stack_limit;

mod decode;
mod encode;
mod json;
mod msgpack;
mod py;
mod raw;
mod typed;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, decode, scan};
#[doc(hidden)]
pub use encode::Writing;
pub use encode::{Encoder, Keep};
pub use error::{DecodeError, EncodeError};
pub use format::{CodecSpec, Format};
pub use framing::Framing;
pub use limits::{DuplicateKeys, Limits};
#[cfg(Py_3_14)]
#[doc(hidden)]
pub use py::look_at_strings;
pub use typed::{from_frame, to_bytes};
