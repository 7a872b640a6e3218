//! Buffers for frames: bounded, decaying, observable, owned by one producing thread.

mod batch;
mod budget;
mod buffer;
mod config;
mod core;
mod cursor;
mod decay;
mod inbound;
mod large;
mod leak;
mod mapping;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod ring;
mod segment;
mod stats;
mod sync;
mod system;
mod writer;

pub use batch::Batch;
pub use buffer::PooledBuf;
pub use config::{ConfigError, PoolConfig, parse_bytes};
pub use inbound::InboundBody;
pub use leak::Leak;
pub use pool::{Pool, PoolError, WeakPool};
pub use stats::{ClassStats, PoolStats, Released, SegmentStats};
pub use system::memory_limit;
pub use writer::Writer;
