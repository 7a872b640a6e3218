//! Statistics of a pool: a snapshot of all its counters.

use crate::config::PoolConfig;
use crate::decay::Reason;
use crate::pool_state::PoolState;
use crate::size_classes::CLASSES;
use crate::sync::{AtomicUsize, Ordering};

/// Bytes given back to the system, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Surplus since the last tick.
    pub decay: usize,
    /// Unused for `idle_timeout`.
    pub idle: usize,
    /// Asked for by [`Pool::trim`](crate::Pool::trim).
    pub trim: usize,
    /// No room under the parked limit.
    pub cap: usize,
}

/// Counters of one size class of the large tier, in buffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Bytes that a buffer of the class holds.
    pub capacity: usize,
    /// On lease now.
    pub live: usize,
    /// Most on lease at once.
    pub peak: usize,
    /// On the free list now.
    pub parked: usize,
    /// Leases served from the free list.
    pub hits: u64,
    /// Leases that needed a new mapping.
    pub misses: u64,
}

impl ClassStats {
    /// Bytes on lease now.
    pub fn live_bytes(&self) -> usize {
        self.live * self.capacity
    }

    /// Bytes on the free list now.
    pub fn parked_bytes(&self) -> usize {
        self.parked * self.capacity
    }

    /// Most bytes on lease at once.
    pub fn peak_bytes(&self) -> usize {
        self.peak * self.capacity
    }
}

/// Counters of the small tier, in segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Leases served by a reclaimed segment.
    pub hits: u64,
    /// Leases that needed a new mapping.
    pub misses: u64,
    /// Retired segments found free.
    pub reclaimed: u64,
    /// Retired segments found still in use.
    pub busy: u64,
    /// Writers that hold a segment.
    pub writers: usize,
}

/// One look at a pool's counters. Bytes unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct PoolStats {
    /// Frames in segments that somebody may still read, large buffers on lease, inbound bodies.
    pub live_bytes: usize,
    /// Idle, kept for the next use.
    pub parked_bytes: usize,
    /// Segment bytes held minus the bytes of live frames in them.
    pub pinned_bytes: usize,
    /// What counts against `max_live_bytes` now: segments in use, large buffers, inbound bodies.
    pub held_bytes: usize,
    /// The inbound part of it.
    pub inbound_bytes: usize,
    /// The part in large buffers beyond the classes, which are exact and never park.
    pub exact_bytes: usize,
    /// Most ever held at once.
    pub peak_bytes: usize,
    /// Leases served from parked or reclaimed memory, all classes.
    pub hits: u64,
    /// Leases that needed new memory, all classes.
    pub misses: u64,
    /// Leases served untracked because the ceiling was reached.
    pub fallbacks: usize,
    /// Leases refused because the budget was used up.
    pub exhausted: usize,
    /// Leases refused because no budget could ever hold them.
    pub oversized: usize,
    /// Queued frames copied out of segments.
    pub copied_out_bytes: usize,
    /// Sampled leases that were reported as too old.
    pub leaks: usize,
    /// Given back to the system.
    pub released: Released,
    /// The small tier.
    pub segments: SegmentStats,
    /// The large tier, smallest class first.
    pub classes: Vec<ClassStats>,
    /// The effective configuration.
    pub config: PoolConfig,
}

impl PoolStats {
    pub(crate) fn collect(state: &PoolState) -> Self {
        if state.is_forked() {
            return Self { config: state.config.clone(), ..Self::default() };
        }
        let (segments, surplus) = state.segments.stats();
        state.release(surplus, Reason::Cap);
        let classes: Vec<_> =
            CLASSES.iter().enumerate().map(|(class, &capacity)| class_stats(state, class, capacity)).collect();
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let released = |reason: Reason| count(&state.counters.released[reason as usize]);
        Self {
            live_bytes: state.budget.held().saturating_sub(segments.pinned),
            parked_bytes: segments.parked + state.classes.parked(),
            pinned_bytes: segments.pinned,
            held_bytes: state.budget.held(),
            inbound_bytes: state.budget.inbound(),
            exact_bytes: count(&state.counters.exact),
            peak_bytes: state.budget.peak(),
            hits: segments.hits + classes.iter().map(|class| class.hits).sum::<u64>(),
            misses: segments.misses + classes.iter().map(|class| class.misses).sum::<u64>(),
            fallbacks: count(&state.counters.fallbacks),
            exhausted: count(&state.counters.exhausted),
            oversized: count(&state.counters.oversized),
            copied_out_bytes: count(&state.counters.copied_out),
            leaks: count(&state.counters.leaks),
            released: Released {
                decay: released(Reason::Decay),
                idle: released(Reason::Idle),
                trim: released(Reason::Trim),
                cap: released(Reason::Cap),
            },
            segments: SegmentStats {
                hits: segments.hits,
                misses: segments.misses,
                reclaimed: segments.reclaimed,
                busy: segments.busy,
                writers: segments.writers,
            },
            classes,
            config: state.config.clone(),
        }
    }
}

fn class_stats(state: &PoolState, class: usize, capacity: usize) -> ClassStats {
    let counters = state.classes.counters(class);
    ClassStats {
        capacity,
        live: counters.live,
        peak: counters.peak,
        parked: counters.parked,
        hits: counters.hits,
        misses: counters.misses,
    }
}
