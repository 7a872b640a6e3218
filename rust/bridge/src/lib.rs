//! Python async generators as Rust streams.

pub mod codec;
pub mod error;
