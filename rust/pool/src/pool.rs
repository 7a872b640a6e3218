//! `Pool`: the handle that engines and writers share.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::budget::Direction;
use crate::buffer::PooledBuf;
use crate::config::{ConfigError, PoolConfig};
use crate::decay::Reason;
use crate::inbound::InboundBody;
use crate::leak::Leak;
use crate::pool_state::PoolState;
use crate::stats::PoolStats;
use crate::sync::{Arc, HandleArc, HandleWeak, Ordering};
use crate::{Batch, Writer};

/// Why a buffer could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The request exceeds the largest buffer that may ever be handed out.
    #[error("{len} bytes are more than the {most} that one buffer may have, as max_live_bytes is {max_live_bytes}")]
    Oversized {
        /// What was asked for.
        len: usize,
        /// Most that one buffer in this direction may have.
        most: usize,
        /// The pool's ceiling.
        max_live_bytes: usize,
    },
    /// The body passes the length that it may have.
    #[error("{len} bytes are more than the {max} that this body may have")]
    TooLong {
        /// Its length, announced or so far.
        len: usize,
        /// What its receiver accepts.
        max: usize,
    },
    /// The budget of live bytes is used up; retry later.
    #[error("the pool is exhausted: as much as max_live_bytes allows is in use")]
    Exhausted,
    /// This process is a fork of the one that made the pool.
    #[error("the pool belongs to the parent process")]
    Forked,
}

/// A process-wide or private pool; clones share it.
#[derive(Debug, Clone)]
pub struct Pool {
    handle: HandleArc<Handle>,
}

/// When the last handle goes, nothing parks any more; leases go on living.
#[derive(Debug)]
struct Handle {
    state: Arc<PoolState>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.state.close();
    }
}

impl Pool {
    /// Makes a pool. Nothing is mapped before the first use.
    ///
    /// # Errors
    /// A field of `config` that cannot be.
    pub fn new(config: PoolConfig) -> Result<Self, ConfigError> {
        let (config, max_live) = config.effective()?;
        let state = Arc::new(PoolState::new(config, max_live));
        Ok(Self { handle: HandleArc::new(Handle { state }) })
    }

    pub(crate) fn state(&self) -> &Arc<PoolState> {
        &self.handle.state
    }

    /// The effective configuration: `max_live_bytes` is never `None` here.
    pub fn config(&self) -> &PoolConfig {
        &self.state().config
    }

    /// A number that no other living pool has.
    pub fn id(&self) -> usize {
        HandleArc::as_ptr(&self.handle) as usize
    }

    /// A reference that does not keep the pool open.
    pub fn downgrade(&self) -> WeakPool {
        WeakPool(HandleArc::downgrade(&self.handle))
    }

    /// A writer for the calling thread.
    pub fn writer(&self) -> Writer {
        Writer::new(self.clone(), 0)
    }

    /// The same, with so many bytes of its own that it begins in: short frames that are copied out of there need no
    /// memory of the pool.
    pub fn writer_with_scratch(&self, bytes: usize) -> Writer {
        Writer::new(self.clone(), bytes)
    }

    /// A large buffer for at least `len` bytes, within the outbound budget.
    ///
    /// # Errors
    /// [`PoolError::Oversized`], [`PoolError::Exhausted`] or [`PoolError::Forked`].
    pub fn try_acquire(&self, len: usize) -> Result<PooledBuf, PoolError> {
        PoolState::try_acquire(self.state(), len, Direction::Outbound)
    }

    /// A large buffer for at least `len` bytes; over the ceiling an untracked one, counted as a fallback.
    ///
    /// # Panics
    /// The system has no memory left.
    pub fn acquire(&self, len: usize) -> PooledBuf {
        PoolState::acquire(self.state(), len, 0)
    }

    /// An inbound body (a request) of known content, charged to the inbound half of the budget.
    ///
    /// # Errors
    /// [`PoolError::Oversized`]: more than that half; [`PoolError::Exhausted`]: the half is used up;
    /// [`PoolError::Forked`].
    pub fn inbound(&self, body: &[u8]) -> Result<Bytes, PoolError> {
        let mut inbound = self.inbound_body(Some(body.len()), body.len())?;
        inbound.push(body)?;
        Ok(inbound.finish())
    }

    /// An inbound body that arrives in pieces: `declared` is the announced length, `max` the most accepted.
    ///
    /// # Errors
    /// [`PoolError::TooLong`]: `declared` is more than `max`; [`PoolError::Forked`].
    pub fn inbound_body(&self, declared: Option<usize>, max: usize) -> Result<InboundBody, PoolError> {
        if self.state().is_forked() {
            return Err(PoolError::Forked);
        }
        InboundBody::new(self.state().clone(), declared, max)
    }

    /// Time to the next tick: `decay_interval` within 20 %, spread so that processes do not tick together.
    pub fn next_tick(&self) -> Duration {
        let random = RandomState::new().build_hasher().finish();
        let spread = (random % 401) as f64 / 1000.0;
        self.config().decay_interval.mul_f64(0.8 + spread)
    }

    /// Reclaims and decays what is idle and reports old leases; called about every `decay_interval`, never on a
    /// request's path. A call sooner than half an interval after the last one does nothing.
    pub fn tick(&self, now: Instant) {
        if !self.state().is_forked() {
            self.state().tick(now);
        }
    }

    /// Gives everything parked back now; returns the bytes.
    pub fn trim(&self) -> usize {
        if self.state().is_forked() { 0 } else { self.state().trim() }
    }

    /// True when slices pin more than the bound and queued frames should be copied out. Cheap enough for every
    /// turn of a loop: one load while little is held, else a look at 64 segments.
    pub fn over_pinned(&self) -> bool {
        let state = self.state();
        if (state.segments.is_small() && !state.segments.is_crowded()) || state.is_forked() {
            return false;
        }
        let (over, surplus) = state.segments.over_pinned(state.budget.held());
        state.release(surplus, Reason::Cap);
        over
    }

    /// Copies a batch out of shared memory, as [`Batch::copy_out`], and counts the bytes.
    pub fn unpin(&self, batch: &mut Batch) -> usize {
        let bytes = batch.copy_out();
        self.state().counters.copied_out.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }

    /// Sets what is called, on the thread that ticks, for each sampled lease older than `leak_after`.
    pub fn on_leak(&self, report: impl Fn(&Leak) + Send + Sync + 'static) {
        self.state().watch.set_hook(Box::new(report));
    }

    /// One snapshot of the counters. In a forked child all of them are zero.
    pub fn stats(&self) -> PoolStats {
        PoolStats::collect(self.state())
    }
}

/// A pool that is not kept open.
#[derive(Debug, Clone)]
pub struct WeakPool(HandleWeak<Handle>);

impl WeakPool {
    /// The pool, if anybody still has it.
    pub fn upgrade(&self) -> Option<Pool> {
        self.0.upgrade().map(|handle| Pool { handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(PoolConfig { max_live_bytes: Some(1 << 30), ..PoolConfig::default() }).expect("a valid configuration")
    }

    #[test]
    fn clones_are_one_pool_and_others_are_not() {
        let (one, other) = (pool(), pool());
        assert_eq!(one.id(), one.clone().id());
        assert_ne!(one.id(), other.id());
        let weak = one.downgrade();
        assert_eq!(weak.upgrade().map(|pool| pool.id()), Some(one.id()));
        drop(one);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn a_pool_that_is_gone_keeps_nothing_and_parks_nothing() {
        let pool = pool();
        let state = pool.state().clone();
        let mut writer = pool.writer();
        writer.begin(0);
        writer.put(b"frame");
        writer.commit();
        let leases = [pool.acquire(1), pool.acquire(1)];
        drop(pool.acquire(1));
        assert_eq!(state.classes.parked(), 64 << 10);
        drop(pool);
        assert_eq!(state.classes.parked(), 64 << 10, "the writer still has it");
        drop(writer);
        assert_eq!(state.classes.parked(), 0);
        drop(leases);
        assert_eq!((state.classes.parked(), state.budget.held()), (0, 0));
    }
}
