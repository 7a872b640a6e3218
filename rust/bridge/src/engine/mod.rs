//! Handler, worker, codec and pool put together: the face for Rust hosts and for the Python package.

mod annotated;
mod calls;
mod codec;
mod core;
mod host;
mod leaks;
mod open;
mod pool;
mod python;
mod settings;
mod single;
mod stats;

pub use annotated::Annotated;
pub use host::{Engine, EngineBuilder};

pub use codec::PyCodec;
pub(crate) use core::{EngineCore, Life, LifespanGuard, activity, close_all, pools_of_engines, streams_of};
pub(crate) use open::open;
pub(crate) use pool::PyPool;
pub(crate) use python::PyEngine;
#[cfg(test)]
pub(crate) use settings::Flow;
pub(crate) use settings::Flush;
pub(crate) use single::{decode, encode};
pub(crate) use stats::pool_totals;
