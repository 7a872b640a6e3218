#![doc = include_str!("front_page.md")]

#[macro_use]
extern crate pybridge_macros;
// What `python_entry` writes names the crate as other crates do.
extern crate self as pybridge;

mod admission;
mod attaches;
mod awaitable;
mod blocking;
pub mod codec;
mod context;
mod context_vars;
pub mod embed;
mod engine;
mod error;
#[doc(hidden)]
pub mod extension;
#[cfg(feature = "fault")]
pub mod fault;
#[cfg(not(feature = "fault"))]
mod fault;
mod fork;
mod frame;
mod interp;
mod lock;
mod log;
mod memory;
mod metrics;
mod module;
mod parking;
mod prometheus;
mod py_errors;
pub mod runtime;
mod setup_error;
mod state;
mod stream;
mod traceback;
mod worker;

pub use codec::{CodecSpec, DuplicateKeys, Format, Framing, Limits};
pub use engine::{
    AcquirePermit, Annotated, Callable, Drained, Engine, EngineBuilder, EngineProfile, EngineStats, FlowConfig,
    FlowStats, Flush, Histogram, ModelDump, Permit, PoolChoice, RequestBody, StreamStats,
};
pub use error::{FailureKind, PublicAnswer, Reason};
pub use frame::Frame;
pub use prometheus::metrics_text;
pub use pybridge_pool::{Batch, Pool, PoolConfig, PoolStats};
pub use pyo3;
pub use setup_error::SetupError;
pub use stream::{
    CallOptions, Cancellation, Canceller, ChunkStream, Ending, Failure, FrameStream, ItemStream, StreamError,
};
pub use worker::{EventLoop, Worker, WorkerStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
