//! Rust values to bytes and back, without the interpreter.

mod from_frame;
mod recursion_limit;
mod to_bytes;

pub use from_frame::from_frame;
pub use to_bytes::to_bytes;
