//! Python async generators as Rust streams.

mod admission;
mod awaitable;
#[cfg(feature = "naive")]
mod bench;
mod blocking;
#[cfg(feature = "naive")]
mod bridge_thread;
pub mod codec;
mod context;
mod embed;
mod engine;
pub mod error;
mod fault;
mod frame;
mod interp;
mod log;
mod memory;
mod metrics;
mod module;
#[cfg(feature = "naive")]
mod naive;
pub mod runtime;
mod stream;
mod worker;

pub use engine::{Annotated, Engine, EngineBuilder};
pub use error::StreamError;
pub use frame::Frame;
pub use module::_pybridge;
pub use pybridge_pool::{Batch, Pool, PoolConfig};
pub use stream::{CallOptions, Ending, Failure, FailureKind, FrameStream, ItemStream, Reason};
