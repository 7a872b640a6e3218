//! Python objects to frames, and bytes to Python objects.

mod error;
mod framing;
mod limits;
mod spec;

mod build;
mod containers;
mod decode;
mod durations;
mod encode;
mod events;
mod guard;
mod held;
mod json;
mod key_text;
mod keys;
mod known;
mod lanes;
mod make;
mod msgpack;
mod narrow;
mod numpy;
mod object;
mod other;
mod path;
mod pydantic;
mod raw;
mod records;
mod scan;
mod shapes;
mod sink;
mod stack;
mod strings;
mod temporal;
mod transcode;
mod triples;
mod typed;
mod utf8;
mod value;
mod view;
mod walk;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, decode};
pub(crate) use encode::Writing;
pub use encode::{Encoder, Keep};
pub use error::{DecodeError, EncodeError};
pub use framing::Framing;
pub use limits::{DuplicateKeys, Limits};
pub use scan::scan;
pub use spec::{CodecSpec, Format};
#[cfg(Py_3_14)]
pub(crate) use strings::look_at_strings;
pub use typed::{from_frame, to_bytes};
