#![doc = include_str!("front_page.md")]

#[macro_use]
extern crate pybridge_macros;

mod base;
mod consumer;
mod driver;
pub mod embed;
mod engine;
mod error;
#[doc(hidden)]
pub mod extension;
mod memory;
mod module;
mod prometheus;
mod state;
mod worker;

pub use base::runtime;
pub use consumer::{Annotated, Canceller, ChunkStream, Frame, FrameStream, ItemStream, StreamError};
pub use engine::{
    AcquirePermit, Callable, Drained, Engine, EngineBuilder, EngineProfile, EngineStats, FlowConfig, FlowStats,
    Histogram, ModelDump, Permit, PoolChoice, RequestBody, SetupError, StreamStats,
};
pub use error::{Failure, FailureKind, PublicAnswer, Reason};
pub use prometheus::metrics_text;
#[cfg(feature = "fault")]
pub use pybridge_base::fault;
#[doc(inline)]
pub use pybridge_codec as codec;
pub use pybridge_codec::{CodecSpec, DuplicateKeys, Format, Framing, Limits};
pub use pybridge_pool::{Batch, Pool, PoolConfig, PoolStats};
pub use pyo3;
pub use state::{CallOptions, Cancellation, Ending, Flush};
pub use worker::{EventLoop, Worker, WorkerStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
