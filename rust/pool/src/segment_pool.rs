//! The small tier: retired segments, which consumers still read, and parked ones, which nobody does.
//!
//! Writers come here once a segment, never for a frame.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::budget::Charge;
use crate::decay::{LowWater, Reason};
use crate::segment::{Segment, Shared};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};

/// Retired segments that a writer looks at before it takes a parked one: enough that one busy segment at the
/// head hides none behind it, few enough not to be felt.
const POLL_ON_TAKE: usize = 3;

/// Retired segments that [`SegmentPool::retire`] looks at while slices pin more than they may anyway: enough to know the live
/// bytes of all of them soon.
const POLL_ON_RETIRE: usize = 8;

/// Retired segments that [`SegmentPool::over_pinned`] looks at a call.
const POLL_ON_TURN: usize = 64;

/// Slices may pin 8 MiB whatever is live, and four times the live bytes on top. The check answers a little earlier,
/// because it knows live bytes as of its last look and leaves the segments of writers out.
const PIN_ALLOWANCE: usize = 6 << 20;
const PIN_FACTOR: usize = 3;

/// A segment on lease to a writer, or read by consumers; without a charge the pool will not take it back.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) segment: Segment,
    pub(crate) charge: Option<Charge>,
}

#[derive(Debug)]
struct Retired {
    leased: Leased,
    live: usize,
}

/// Counters of the small tier.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct SegmentPoolStats {
    pub(crate) pinned: usize,
    pub(crate) parked: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) reclaimed: u64,
    pub(crate) busy: u64,
    pub(crate) writers: usize,
}

#[derive(Debug, Default)]
struct State {
    active: Vec<Arc<Shared>>,
    retired: VecDeque<Retired>,
    retired_live: usize,
    parked: Vec<Segment>,
    low_water: LowWater,
    closed: bool,
    stats: SegmentPoolStats,
}

#[derive(Debug)]
pub(crate) struct SegmentPool {
    segment_bytes: usize,
    max_parked: usize,
    retired: AtomicUsize,
    crowded: AtomicBool,
    state: Mutex<State>,
}

/// Segments to unmap after the lock is gone.
pub(crate) type Surplus = SmallVec<[Segment; 4]>;

impl SegmentPool {
    pub(crate) fn new(segment_bytes: usize, parked_bytes: usize) -> Self {
        let max_parked = parked_bytes / segment_bytes;
        Self {
            segment_bytes,
            max_parked,
            retired: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A free segment, reclaimed or parked.
    pub(crate) fn take(&self) -> (Option<Segment>, Surplus) {
        let mut state = lock(&self.state);
        let surplus = self.poll(&mut state, POLL_ON_TAKE);
        let segment = state.parked.pop();
        let left = state.parked.len();
        state.low_water.taken(left);
        if segment.is_some() {
            state.stats.hits += 1;
        } else {
            state.stats.misses += 1;
        }
        (segment, surplus)
    }

    /// A writer starts to use `segment`.
    pub(crate) fn activate(&self, segment: &Segment) {
        lock(&self.state).active.push(segment.shared().clone());
    }

    /// A writer is done with a segment; without a charge it is let go. `held`: bytes that the budget counts.
    pub(crate) fn retire(&self, leased: Leased, held: usize) -> Surplus {
        let shared = leased.segment.shared().clone();
        let mut state = lock(&self.state);
        state.active.retain(|active| !Arc::ptr_eq(active, &shared));
        if leased.charge.is_some() && !state.closed {
            let live = leased.segment.live();
            state.retired_live += live;
            state.retired.push_back(Retired { leased, live });
            self.retired.store(state.retired.len(), Ordering::Relaxed);
        }
        if self.is_small() {
            return Surplus::new();
        }
        let surplus = self.poll(&mut state, POLL_ON_RETIRE);
        self.judge(&state, held);
        surplus
    }

    /// Looks at the `limit` oldest retired segments: free ones are parked, busy ones go to the back.
    fn poll(&self, state: &mut State, limit: usize) -> Surplus {
        let mut surplus = Surplus::new();
        for _ in 0..limit.min(state.retired.len()) {
            let Some(Retired { mut leased, live: before }) = state.retired.pop_front() else {
                break;
            };
            let live = leased.segment.live();
            state.retired_live = state.retired_live - before + live;
            if live > 0 {
                state.stats.busy += 1;
                state.retired.push_back(Retired { leased, live });
                continue;
            }
            state.stats.reclaimed += 1;
            leased.segment.reset();
            if state.parked.len() < self.max_parked {
                leased.segment.poison();
                state.parked.push(leased.segment);
            } else {
                surplus.push(leased.segment);
            }
        }
        self.retired.store(state.retired.len(), Ordering::Relaxed);
        surplus
    }

    /// True while retired segments hold less than slices may pin anyway.
    pub(crate) fn is_small(&self) -> bool {
        self.retired.load(Ordering::Relaxed) * self.segment_bytes <= PIN_ALLOWANCE
    }

    /// True when retired segments hold more than the bound allows; looks at a bounded number of them.
    pub(crate) fn over_pinned(&self, held: usize) -> (bool, Surplus) {
        let mut state = lock(&self.state);
        let surplus = self.poll(&mut state, POLL_ON_TURN);
        (self.judge(&state, held), surplus)
    }

    /// True while retired segments hold more than the bound allows, as of the last look: then a batch that is small
    /// beside its segment should not start to pin another one.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    fn judge(&self, state: &State, held: usize) -> bool {
        let retired = state.retired.len() * self.segment_bytes;
        let pinned = retired.saturating_sub(state.retired_live);
        let live = state.retired_live + held.saturating_sub(retired);
        let crowded = pinned > PIN_ALLOWANCE + PIN_FACTOR * live;
        self.crowded.store(crowded, Ordering::Relaxed);
        crowded
    }

    /// Reclaims what is free and takes out what decayed. `held`: bytes that the budget counts.
    pub(crate) fn tick(&self, now: Instant, idle_timeout: Duration, held: usize) -> (Surplus, Surplus, Reason) {
        let mut state = lock(&self.state);
        let capped = self.poll(&mut state, usize::MAX);
        self.judge(&state, held);
        let (parked, takes) = (state.parked.len(), state.stats.hits + state.stats.misses);
        let (count, reason) = state.low_water.surplus(parked, takes, now, idle_timeout);
        (capped, state.parked.drain(..count).collect(), reason)
    }

    /// Takes out everything that nobody reads.
    pub(crate) fn trim(&self) -> Surplus {
        let mut state = lock(&self.state);
        let mut surplus = self.poll(&mut state, usize::MAX);
        surplus.extend(state.parked.drain(..));
        surplus
    }

    /// The pool is gone: whoever reads a segment last unmaps it.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let retired = std::mem::take(&mut state.retired);
        let parked = std::mem::take(&mut state.parked);
        state.retired_live = 0;
        drop(state);
        drop((retired, parked));
    }

    pub(crate) fn stats(&self) -> (SegmentPoolStats, Surplus) {
        let mut state = lock(&self.state);
        let surplus = self.poll(&mut state, usize::MAX);
        let live = state.retired_live + state.active.iter().map(|shared| shared.live()).sum::<usize>();
        let held = (state.retired.len() + state.active.len()) * self.segment_bytes;
        let counted = SegmentPoolStats {
            pinned: held.saturating_sub(live),
            parked: state.parked.len() * self.segment_bytes,
            writers: state.active.len(),
            ..state.stats
        };
        (counted, surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, Direction};
    use crate::segment::SealedRange;

    const SEGMENT: usize = 4 << 10;
    const SECOND: Duration = Duration::from_secs(1);

    /// A segments of small segments and the budget that charges them.
    struct Tier {
        segments: SegmentPool,
        budget: Arc<Budget>,
    }

    impl Tier {
        /// One that may keep `most` segments.
        fn new(segment: usize, most: usize) -> Self {
            Self { segments: SegmentPool::new(segment, most * segment), budget: Arc::new(Budget::new(1 << 30)) }
        }

        /// A writer takes a new segment, fills `live` bytes of it, and is done with it. Consumers hold what comes back.
        fn retire(&self, live: usize) -> Option<SealedRange> {
            let mut segment = Segment::new(self.segments.segment_bytes).expect("room");
            self.segments.activate(&segment);
            let range = (live > 0).then(|| segment.seal(0, live, None));
            let charge = Budget::charge(&self.budget, Direction::Outbound, self.segments.segment_bytes);
            assert!(charge.is_some());
            drop(self.segments.retire(Leased { segment, charge }, self.budget.held()));
            range
        }

        fn stats(&self) -> SegmentPoolStats {
            self.segments.stats().0
        }

        /// Segments that a tick takes out, and why.
        fn tick(&self, now: Instant) -> (usize, usize, Reason) {
            let (capped, surplus, reason) = self.segments.tick(now, 3 * SECOND, self.budget.held());
            (capped.len(), surplus.len(), reason)
        }
    }

    #[test]
    fn a_take_finds_a_free_segment_behind_busy_ones() {
        let tier = Tier::new(SEGMENT, 8);
        let held = [tier.retire(8), tier.retire(8)];
        assert!(tier.retire(0).is_none());
        let (found, surplus) = tier.segments.take();
        assert!(found.is_some_and(|segment| segment.is_free()) && surplus.is_empty());
        drop(held);
    }

    #[test]
    fn a_take_looks_at_three_segments_and_the_next_one_goes_on_there() {
        let tier = Tier::new(SEGMENT, 8);
        let held: Vec<_> = (0..4).map(|_| tier.retire(8)).collect();
        assert!(tier.retire(0).is_none());
        assert!(tier.segments.take().0.is_none());
        assert!(tier.segments.take().0.is_some());
        let stats = tier.stats();
        assert_eq!((stats.hits, stats.misses, stats.reclaimed), (1, 1, 1));
        assert_eq!(stats.busy, 3 + 2 + 4, "two takes of three segments, and the statistics' own look");
        drop(held);
    }

    #[test]
    fn free_segments_park_up_to_the_limit_and_the_rest_is_surplus() {
        let tier = Tier::new(SEGMENT, 2);
        assert!((0..4).all(|_| tier.retire(0).is_none()));
        let (stats, surplus) = tier.segments.stats();
        assert_eq!((stats.parked, surplus.len(), stats.reclaimed), (2 * SEGMENT, 2, 4));
        assert_eq!(tier.budget.held(), 0);
        assert_eq!(tier.segments.trim().len(), 2);
        assert_eq!(tier.stats().parked, 0);
    }

    #[test]
    fn a_tick_reclaims_and_takes_half_of_what_nobody_needed() {
        let tier = Tier::new(SEGMENT, 4);
        assert!((0..6).all(|_| tier.retire(0).is_none()));
        let start = Instant::now();
        assert_eq!(tier.tick(start), (2, 0, Reason::Decay), "six were free, four may park");
        assert_eq!(tier.tick(start + SECOND), (0, 2, Reason::Decay));
        assert!(tier.segments.take().0.is_some());
        assert_eq!(tier.tick(start + 2 * SECOND), (0, 1, Reason::Decay));
        assert_eq!(tier.stats().parked, 0);
        assert!(tier.retire(0).is_none());
        assert_eq!(tier.tick(start + 4 * SECOND), (0, 0, Reason::Decay));
        assert_eq!(tier.tick(start + 5 * SECOND), (0, 1, Reason::Idle), "no take for the timeout");
    }

    #[test]
    fn a_take_that_finds_nothing_is_a_use() {
        let tier = Tier::new(SEGMENT, 4);
        let start = Instant::now();
        assert_eq!(tier.tick(start).2, Reason::Decay);
        assert!(tier.segments.take().0.is_none());
        assert_eq!(tier.tick(start + 3 * SECOND).2, Reason::Decay);
        assert_eq!(tier.tick(start + 6 * SECOND).2, Reason::Idle);
    }

    #[test]
    fn a_closed_ring_keeps_nothing_and_retires_nothing() {
        let tier = Tier::new(SEGMENT, 4);
        assert!(tier.retire(0).is_none());
        let held = tier.retire(8);
        assert_eq!(tier.stats().parked, SEGMENT);
        tier.segments.close();
        let late = tier.retire(8);
        let stats = tier.stats();
        assert_eq!((stats.parked, stats.pinned, stats.writers), (0, 0, 0));
        assert_eq!(tier.budget.held(), 0);
        drop((held, late));
    }

    #[test]
    fn statistics_count_the_segments_of_writers_and_what_slices_pin() {
        let tier = Tier::new(SEGMENT, 4);
        let mut active = Segment::new(SEGMENT).expect("room");
        let range = active.seal(0, 100, None);
        tier.segments.activate(&active);
        let held = tier.retire(24);
        let stats = tier.stats();
        assert_eq!((stats.writers, stats.pinned), (1, 2 * SEGMENT - 124));
        drop(range);
        assert_eq!(tier.stats().pinned, 2 * SEGMENT - 24);
        drop(held);
        assert_eq!(tier.stats().pinned, SEGMENT);
    }

    /// Large segments, so that few of them are over the bound.
    const LARGE: usize = 1 << 20;

    #[test]
    fn retired_segments_are_few_up_to_the_allowance() {
        let tier = Tier::new(LARGE, 16);
        let mut held: Vec<_> = (0..6).map(|_| tier.retire(8)).collect();
        assert!(tier.segments.is_small() && !tier.segments.is_crowded());
        held.push(tier.retire(8));
        assert!(!tier.segments.is_small() && tier.segments.is_crowded());
        assert!(tier.segments.over_pinned(tier.budget.held()).0);
        held.truncate(6);
        assert!(!tier.segments.over_pinned(tier.budget.held()).0);
        assert!(tier.segments.is_small() && !tier.segments.is_crowded());
        assert_eq!(tier.budget.held(), 6 * LARGE);
    }

    #[test]
    fn live_bytes_allow_three_times_as_much_to_be_pinned() {
        let tier = Tier::new(LARGE, 16);
        // Nine segments pin 9 MiB less their live bytes, and may pin 6 MiB and three times those.
        let live = 3 * LARGE / 4;
        let mut held = vec![tier.retire(live)];
        held.extend((0..8).map(|_| tier.retire(8)));
        let over = |held: usize| tier.segments.over_pinned(held).0;
        assert!(!over(tier.budget.held()));
        held[0] = None;
        assert_eq!(tier.stats().parked, LARGE);
        assert!(over(tier.budget.held()));
        assert!(!over(tier.budget.held() + LARGE), "bytes held elsewhere are live");
        assert!(over(tier.budget.held()));
        held.truncate(3);
        assert_eq!(tier.tick(Instant::now()), (0, 0, Reason::Decay));
        assert!(!tier.segments.is_crowded(), "a tick judges as well");
    }
}
