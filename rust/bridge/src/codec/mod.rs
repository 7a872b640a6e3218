//! Python objects to frames, and bytes to Python objects.

mod framing;
mod limits;
mod spec;

mod build;
mod decode;
mod encode;
mod events;
mod json;
mod keys;
mod lanes;
mod make;
mod msgpack;
mod narrow;
mod object;
mod path;
mod raw;
mod scan;
mod sink;
mod transcode;
mod typed;
mod utf8;
mod walk;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, decode};
pub use encode::{Encoder, Keep};
pub use framing::Framing;
pub use limits::{DuplicateKeys, Limits};
pub use scan::scan;
pub use spec::{CodecSpec, Format};
pub use typed::{from_frame, to_bytes};
