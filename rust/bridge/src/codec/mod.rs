//! Python objects to frames, and bytes to Python objects.

mod framing;
mod limits;
mod spec;

mod decode;
mod encode;

pub use decode::{Decoder, decode};
pub use encode::Encoder;
pub use framing::Framing;
pub use limits::Limits;
pub use spec::{CodecSpec, Format};
