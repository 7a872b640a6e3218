//! The Rust side of the benchmark: many streams at a time, received by tokio tasks, through any lane.

mod codec;
mod lane;
mod latency;
mod load;
mod python;
mod typed;

pub(crate) use python::register;
