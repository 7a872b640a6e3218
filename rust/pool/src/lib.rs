//! Buffers for frames: bounded, decaying, observable, owned by one producing thread.
//!
//! A [`Writer`] encodes frames in place, a consumer on any thread reads them as [`bytes::Bytes`], and the memory goes
//! back to the pool by itself. Nothing has to be given back, and nothing can be given back too early.
//!
//! ```text
//!  producing thread                          consumers, on any thread
//!  ┌──────────────────────────────────┐
//!  │ small: segments of 64 KiB        │   seal: the frames of a batch become immutable
//!  │   begin ─ put ─ commit ─ seal ───┼─────────────► Bytes ─ slice ─ drop: one atomic addition
//!  │   full ──► retired ──────────────┼── polled by the next take, a turn or a tick:
//!  │   take ◄── parked ◄──────────────┼── all bytes returned? then free; nothing is sent back
//!  ├──────────────────────────────────┤
//!  │ large: one mapping a frame       │   freeze
//!  │   acquire ───────────────────────┼─────────────► Bytes ─ slice ─ last drop
//!  │   acquire ◄── parked, by class ◄─┼──────────────────────────────────┘ or unmapped, over the limit
//!  └──────────────────────────────────┘
//!    tick, about once a second: half of what nobody needed goes back to the system; after `idle_timeout`, all of it
//! ```
//!
//! ```
//! use pybridge_pool::{Pool, PoolConfig};
//!
//! let pool = Pool::new(PoolConfig::default())?;
//! let mut writer = pool.writer();
//! for number in 0..3 {
//!     writer.begin(0);
//!     writer.put(b"frame ");
//!     writer.put_u8(b'0' + number);
//!     writer.commit();
//! }
//! writer.begin(0);
//! writer.put(b"not to be sent");
//! writer.abort();
//!
//! let mut batches = Vec::new();
//! writer.seal(|batch| batches.push(batch));
//! let last = batches[0].frame(2).expect("three frames were committed");
//! let consumer = std::thread::spawn(move || assert_eq!(last, "frame 2"));
//! consumer.join().expect("frames are read anywhere");
//!
//! drop((batches, writer));
//! assert_eq!(pool.stats().live_bytes, 0);
//! pool.trim();
//! assert_eq!(pool.stats().parked_bytes, 0);
//! # Ok::<(), pybridge_pool::ConfigError>(())
//! ```
//!
//! * **Bounded.** [`PoolConfig::max_live_bytes`] is the ceiling of what is handed out; incoming bodies
//!   ([`Pool::inbound_body`]) have at most half of it. [`Pool::try_acquire`] says no beyond it; [`Writer`] and
//!   [`Pool::acquire`] fall back to memory that the pool does not count, and count that they did. Nothing ever waits.
//! * **Pinned memory is bounded.** A small frame keeps its segment. Past 8 MiB and four times the live bytes,
//!   [`Pool::over_pinned`] asks for queued frames to be copied out ([`Pool::unpin`]), and small batches get memory of
//!   their own.
//! * **Decaying.** Somebody calls [`Pool::tick`] every [`Pool::next_tick`], away from requests.
//! * **Observable.** [`Pool::stats`] looks at counters that cost the hot path nothing.
//! * **Safe.** Builds with debug assertions poison memory that is parked and look at the poison when it is taken again;
//!   one lease in 128 is watched for leaks ([`Pool::on_leak`]); a forked child gets nothing of the parent's.

mod available_memory;
mod batch;
mod budget;
mod buffer;
mod config;
mod cursor;
mod decay;
mod fallback;
mod inbound;
mod leak;
mod mapping;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod pool_state;
mod segment;
mod segment_pool;
mod setters;
mod short_copy;
mod size_classes;
mod stats;
mod sync;
mod writer;

pub use available_memory::memory_limit;
pub use batch::Batch;
pub use buffer::PooledBuf;
pub use config::{ConfigError, PoolConfig, parse_bytes};
pub use inbound::InboundBody;
pub use leak::Leak;
pub use pool::{Pool, PoolError, WeakPool};
#[doc(hidden)]
pub use short_copy::short_copy;
pub use stats::{ClassStats, PoolStats, Released, SegmentStats};
pub use writer::Writer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
