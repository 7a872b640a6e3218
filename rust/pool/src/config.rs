//! What a pool may hold.

use std::time::Duration;

/// A setting that cannot be.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

/// Sizes in bytes, validated once by [`Pool::new`](crate::Pool::new).
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Size of one shared segment.
    pub segment_bytes: usize,
    /// Idle bytes that the segments of one pool may keep.
    pub small_parked_bytes: usize,
    /// Idle bytes that the large classes may keep.
    pub large_parked_bytes: usize,
    /// Ceiling of all bytes handed out; `None`: a quarter of the memory limit, at most 1 GiB.
    pub max_live_bytes: Option<usize>,
    /// Time between two maintenance ticks.
    pub decay_interval: Duration,
    /// Time without use after which everything parked is given back.
    pub idle_timeout: Duration,
    /// Zero memory before it is used again.
    pub zero_on_reuse: bool,
    /// Age at which a sampled lease is reported.
    pub leak_after: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 10,
            small_parked_bytes: 4 << 20,
            large_parked_bytes: 32 << 20,
            max_live_bytes: None,
            decay_interval: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(5),
            zero_on_reuse: false,
            leak_after: Duration::from_secs(60),
        }
    }
}
