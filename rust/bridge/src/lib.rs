#![doc = include_str!("front_page.md")]

#[macro_use]
extern crate pybridge_macros;
// What `python_entry` writes names the crate as other crates do.
extern crate self as pybridge;

mod base;
pub mod codec;
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

#[cfg(feature = "fault")]
pub use base::fault;
pub use base::runtime;
pub use codec::{CodecSpec, DuplicateKeys, Format, Framing, Limits};
pub use consumer::{Annotated, Canceller, ChunkStream, Frame, FrameStream, ItemStream, StreamError};
pub use engine::{
    AcquirePermit, Callable, Drained, Engine, EngineBuilder, EngineProfile, EngineStats, FlowConfig, FlowStats,
    Histogram, ModelDump, Permit, PoolChoice, RequestBody, SetupError, StreamStats,
};
pub use error::{Failure, FailureKind, PublicAnswer, Reason};
pub use prometheus::metrics_text;
pub use pybridge_pool::{Batch, Pool, PoolConfig, PoolStats};
pub use pyo3;
pub use state::{CallOptions, Cancellation, Ending, Flush};
pub use worker::{EventLoop, Worker, WorkerStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
