//! Buffers for frames: bounded, decaying, observable, owned by one producing thread.

mod batch;
mod config;
mod pool;
mod writer;

pub use batch::Batch;
pub use config::{ConfigError, PoolConfig};
pub use pool::{Pool, PoolError, PoolStats, WeakPool};
pub use writer::Writer;
