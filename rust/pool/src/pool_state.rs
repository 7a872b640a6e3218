//! The state that a pool shares with its writers and leases: both tiers, the budget and the counters.

use std::time::Instant;

use crate::budget::{Budget, Charge, Direction};
use crate::buffer::PooledBuf;
use crate::config::PoolConfig;
use crate::decay::Reason;
use crate::leak::{LeaseWatch, is_watched};
use crate::mapping::Mapping;
use crate::pool::PoolError;
use crate::segment::Segment;
use crate::segment_pool::{Leased, SegmentPool, Surplus};
use crate::size_classes::{Fit, SizeClasses};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};

/// Counters that belong to no free list. Each is touched at most once a segment or large buffer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fallbacks: AtomicUsize,
    pub(crate) exhausted: AtomicUsize,
    pub(crate) oversized: AtomicUsize,
    pub(crate) leaks: AtomicUsize,
    pub(crate) copied_out: AtomicUsize,
    pub(crate) released: [AtomicUsize; 4],
    /// Bytes on lease beyond the classes.
    pub(crate) exact: AtomicUsize,
    leases: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct PoolState {
    pub(crate) config: PoolConfig,
    pub(crate) budget: Arc<Budget>,
    pub(crate) segments: SegmentPool,
    pub(crate) classes: SizeClasses,
    pub(crate) watch: Arc<LeaseWatch>,
    pub(crate) counters: Counters,
    epoch: AtomicUsize,
    last_tick: Mutex<Option<Instant>>,
    pid: u32,
}

impl PoolState {
    /// `config` is valid and `max_live` effective.
    pub(crate) fn new(config: PoolConfig, max_live: usize) -> Self {
        Self {
            budget: Arc::new(Budget::new(max_live)),
            segments: SegmentPool::new(config.segment_bytes, config.small_parked_bytes),
            classes: SizeClasses::new(config.large_parked_bytes),
            watch: Arc::new(LeaseWatch::default()),
            counters: Counters::default(),
            epoch: AtomicUsize::new(0),
            last_tick: Mutex::new(None),
            pid: std::process::id(),
            config,
        }
    }

    /// True in a child of the process that made the pool. Asked before any lock: a fork may have left it taken.
    pub(crate) fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Number of ticks so far.
    pub(crate) fn epoch(&self) -> usize {
        self.epoch.load(Ordering::Relaxed)
    }

    /// A segment for a writer; over the ceiling or after a fork an untracked one.
    ///
    /// # Panics
    /// The system has no memory left.
    pub(crate) fn take_segment(&self) -> Leased {
        let bytes = self.config.segment_bytes;
        let charge = self.charge_or_fall_back(bytes);
        let mut found = None;
        if charge.is_some() {
            let (segment, surplus) = self.segments.take();
            self.release(surplus, Reason::Cap);
            found = segment;
        }
        let zero = self.config.zero_on_reuse;
        let segment = match found {
            Some(mut segment) => {
                segment.prepare(zero);
                segment
            }
            None => Segment::new(bytes)
                .unwrap_or_else(|| panic!("out of memory: no room to map a segment of {bytes} bytes")),
        };
        if charge.is_some() {
            self.segments.activate(&segment);
        }
        Leased { segment, charge }
    }

    /// A writer is done with a segment.
    pub(crate) fn retire_segment(&self, leased: Leased) {
        if !self.is_forked() {
            let surplus = self.segments.retire(leased, self.budget.held());
            self.release(surplus, Reason::Cap);
        }
    }

    /// A large buffer within the budget.
    pub(crate) fn try_acquire(this: &Arc<Self>, len: usize, direction: Direction) -> Result<PooledBuf, PoolError> {
        if this.is_forked() {
            return Err(PoolError::Forked);
        }
        let limit = this.budget.limit(direction);
        let Some(fit) = Fit::of(len, limit) else {
            this.counters.oversized.fetch_add(1, Ordering::Relaxed);
            let max_live_bytes = this.budget.limit(Direction::Outbound);
            return Err(PoolError::Oversized { len, most: Fit::most(limit), max_live_bytes });
        };
        let charge = this.charge(direction, fit.capacity)?;
        Self::lease(this, fit, Some(charge), 0).ok_or(PoolError::Exhausted)
    }

    /// Part of the budget.
    pub(crate) fn charge(&self, direction: Direction, bytes: usize) -> Result<Charge, PoolError> {
        Budget::charge(&self.budget, direction, bytes).ok_or_else(|| {
            self.counters.exhausted.fetch_add(1, Ordering::Relaxed);
            PoolError::Exhausted
        })
    }

    /// A large buffer for `stream` (0: none); over the ceiling or after a fork an untracked one.
    ///
    /// # Panics
    /// The system has no memory left.
    pub(crate) fn acquire(this: &Arc<Self>, len: usize, stream: u64) -> PooledBuf {
        let fit = Fit::of(len, usize::MAX).unwrap_or_else(|| panic!("capacity overflow: {len} bytes"));
        let charge = this.charge_or_fall_back(fit.capacity);
        Self::lease(this, fit, charge, stream).unwrap_or_else(|| panic!("out of memory: no room to map {len} bytes"))
    }

    fn lease(this: &Arc<Self>, fit: Fit, charge: Option<Charge>, stream: u64) -> Option<PooledBuf> {
        let capacity = fit.capacity;
        let class = fit.class.filter(|_| charge.is_some());
        let mapping = match class.and_then(|class| this.classes.take(class)) {
            Some(mut mapping) => {
                mapping.prepare(this.config.zero_on_reuse);
                mapping
            }
            None => Mapping::new(capacity).or_else(|| {
                if let Some(class) = class {
                    this.classes.untake(class);
                }
                None
            })?,
        };
        if charge.is_some() && class.is_none() {
            this.counters.exact.fetch_add(capacity, Ordering::Relaxed);
        }
        let lease = this.counters.leases.fetch_add(1, Ordering::Relaxed) as u32;
        let watched = charge.is_some() && is_watched(lease);
        let sample = if watched { LeaseWatch::begun(&this.watch, stream, capacity) } else { None };
        Some(PooledBuf::new(this.clone(), mapping, class, charge, sample))
    }

    /// A lease that the budget counted ended.
    pub(crate) fn take_back(&self, mapping: Mapping, class: Option<usize>) {
        let Some(class) = class else {
            self.counters.exact.fetch_sub(mapping.len(), Ordering::Relaxed);
            return;
        };
        if !self.is_forked()
            && let Err(mapping) = self.classes.put(class, mapping)
        {
            self.count_released(mapping.len(), Reason::Cap);
        }
    }

    /// Unmaps segments.
    pub(crate) fn release(&self, segments: Surplus, reason: Reason) -> usize {
        let bytes = segments.len() * self.config.segment_bytes;
        drop(segments);
        self.count_released(bytes, reason);
        bytes
    }

    fn count_released(&self, bytes: usize, reason: Reason) {
        if bytes > 0 {
            self.counters.released[reason as usize].fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// One maintenance step, unless the last one was less than half an interval ago.
    pub(crate) fn tick(&self, now: Instant) {
        {
            let mut last = lock(&self.last_tick);
            if last.is_some_and(|last| now.saturating_duration_since(last) < self.config.decay_interval / 2) {
                return;
            }
            *last = Some(now);
        }
        self.epoch.fetch_add(1, Ordering::Relaxed);
        let idle_timeout = self.config.idle_timeout;
        let (capped, surplus, reason) = self.segments.tick(now, idle_timeout, self.budget.held());
        self.release(capped, Reason::Cap);
        self.release(surplus, reason);
        self.classes.tick(now, idle_timeout, |surplus, reason| {
            self.count_released(surplus.iter().map(Mapping::len).sum(), reason);
        });
        let leaks = self.watch.report(now, self.config.leak_after);
        self.counters.leaks.fetch_add(leaks, Ordering::Relaxed);
    }

    /// Gives back everything parked.
    pub(crate) fn trim(&self) -> usize {
        let small = self.release(self.segments.trim(), Reason::Trim);
        let large = self.classes.drain(false).iter().map(Mapping::len).sum();
        self.count_released(large, Reason::Trim);
        small + large
    }

    /// No handle is left: nothing parks any more.
    pub(crate) fn close(&self) {
        if !self.is_forked() {
            self.segments.close();
            drop(self.classes.drain(true));
        }
    }
}
