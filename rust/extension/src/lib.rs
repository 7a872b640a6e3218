//! The extension module `pybridge._pybridge`: what the Python package is built on, and the benchmark's baselines.

#[macro_use]
extern crate pybridge_macros;

mod bench;
mod bridge_thread;
mod http;
mod module;
mod naive;
