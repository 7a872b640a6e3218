//! Limits, statistics and the large tier, shared by all writers.

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;

use crate::{ConfigError, PoolConfig, Writer};

/// Why a buffer could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The request exceeds the largest buffer that may ever be handed out.
    #[error("{0} bytes exceed the largest buffer")]
    Oversized(usize),
    /// The budget of live bytes is used up.
    #[error("the pool is exhausted")]
    Exhausted,
}

/// One look at a pool's counters.
#[derive(Debug, Clone, Default)]
pub struct PoolStats {
    /// Bytes handed out.
    pub live_bytes: usize,
    /// Idle bytes kept for the next use.
    pub parked_bytes: usize,
    /// Segment bytes held minus the bytes of live frames in them.
    pub pinned_bytes: usize,
    /// Most bytes ever handed out at once.
    pub peak_bytes: usize,
}

/// A process-wide or private pool; clones share it.
#[derive(Debug, Clone)]
pub struct Pool {
    config: Arc<PoolConfig>,
}

impl Pool {
    /// Makes a pool.
    ///
    /// # Errors
    /// A field of `config` that cannot be.
    pub fn new(config: PoolConfig) -> Result<Self, ConfigError> {
        Ok(Self { config: Arc::new(config) })
    }

    /// The effective configuration.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// A writer for the calling thread.
    pub fn writer(&self) -> Writer {
        Writer::new(self.clone())
    }

    /// An inbound body (a request) of known content, charged to the inbound half of the budget.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`] when the inbound half is used up.
    pub fn inbound(&self, body: &[u8]) -> Result<Bytes, PoolError> {
        Ok(Bytes::copy_from_slice(body))
    }

    /// Decays what is idle; called every `decay_interval`, never on a request's path.
    pub fn tick(&self, _now: Instant) {}

    /// Gives everything parked back now; returns the bytes.
    pub fn trim(&self) -> usize {
        0
    }

    /// A reference that does not keep the pool alive.
    pub fn downgrade(&self) -> WeakPool {
        WeakPool(Arc::downgrade(&self.config))
    }

    /// True when slices pin more than the bound and queued frames should be copied out.
    pub fn over_pinned(&self) -> bool {
        false
    }

    /// One snapshot of the counters.
    pub fn stats(&self) -> PoolStats {
        PoolStats::default()
    }
}

/// A pool that is not kept alive.
#[derive(Debug, Clone)]
pub struct WeakPool(Weak<PoolConfig>);

impl WeakPool {
    /// The pool, if anybody still has it.
    pub fn upgrade(&self) -> Option<Pool> {
        self.0.upgrade().map(|config| Pool { config })
    }
}
