//! Rust values to bytes and back, without the interpreter.

mod from_frame;
mod recursion_limit;

pub use from_frame::{from_frame, to_bytes};
