//! Handler, worker, codec and pool put together: the face for Rust hosts and for the Python package.

mod annotated;
mod as_dict;
mod body;
mod builder;
mod call_options;
mod callable;
mod calls;
mod codec;
mod config;
mod core;
mod drain;
mod failures;
mod host;
mod keywords;
mod known_pools;
mod open;
mod permit;
mod placement;
mod pool;
mod profile;
mod python;
mod readiness;
mod refusals;
mod served;
mod settings;
mod setup;
mod single;
mod stats;
mod submit;

pub use annotated::Annotated;
pub use body::RequestBody;
pub use builder::{EngineBuilder, PoolChoice};
pub use callable::Callable;
pub use config::{FlowConfig, ModelDump};
pub use drain::Drained;
pub use host::Engine;
pub use permit::{AcquirePermit, Permit};
pub use profile::EngineProfile;
#[doc(hidden)]
pub use served::{ServedEngine, take_chunks};
pub use stats::{EngineStats, FlowStats, Histogram, StreamStats};

pub use codec::PyCodec;
pub(crate) use core::{
    EngineCore, Life, LifespanGuard, activity, close_all, live_engines, pools_of_engines, streams_of,
};
pub(crate) use failures::{fail, report};
pub(crate) use known_pools::pool_totals;
pub(crate) use pool::{PyPool, is_shared};
pub(crate) use python::PyEngine;
#[cfg(test)]
pub(crate) use settings::Flow;
pub use settings::Flush;
pub(crate) use settings::Places;
pub(crate) use single::{decode, encode};
