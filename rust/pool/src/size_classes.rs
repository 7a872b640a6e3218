//! The large tier: one mapping a buffer, bounded free lists by size class.

use std::time::{Duration, Instant};

use crate::decay::{LowWater, Reason};
use crate::mapping::Mapping;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

/// Capacities of the classes. 64 KiB times four for growing frames; 1.25 MiB and its multiples because bodies are
/// "1 MB plus envelope"; 640 KiB so that none is more than four times its predecessor, and so no frame holds more
/// than four times its length. Above the last one memory is exact and never parked.
pub(crate) const CLASSES: [usize; 8] =
    [64 << 10, 256 << 10, 640 << 10, 1280 << 10, 2560 << 10, 5 << 20, 10 << 20, 16 << 20];

/// Capacity of the largest class.
pub(crate) const LARGEST_CLASS: usize = CLASSES[CLASSES.len() - 1];

/// Capacity of the smallest class.
pub(crate) const SMALLEST_CLASS: usize = CLASSES[0];

/// First capacity of a growing frame of unknown size, and the factor of each further step up to the last class.
pub(crate) const FIRST_GUESS: usize = CLASSES[1];
pub(crate) const GROWTH: usize = 4;

/// Factor of steps beyond the last class, where memory is exact and whole pages stay untouched until written.
const GROWTH_BEYOND: usize = 2;

/// Granularity of capacities above the last class.
const PAGE: usize = 4 << 10;

/// Counters of one class.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ClassCounters {
    pub(crate) live: usize,
    pub(crate) peak: usize,
    pub(crate) parked: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

/// The next capacity of a growing frame or body.
pub(crate) fn grown(capacity: usize) -> usize {
    if capacity < LARGEST_CLASS {
        capacity.saturating_mul(GROWTH).min(LARGEST_CLASS)
    } else {
        capacity.saturating_mul(GROWTH_BEYOND)
    }
}

#[derive(Debug, Default)]
struct List {
    parked: Vec<Mapping>,
    low_water: LowWater,
    counters: ClassCounters,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct SizeClasses {
    max_parked: usize,
    parked: AtomicUsize,
    lists: [Mutex<List>; CLASSES.len()],
}

/// The room that a lease gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    pub(crate) capacity: usize,
    /// `None`: exact, and unmapped on return.
    pub(crate) class: Option<usize>,
}

impl Fit {
    /// The smallest class that holds `len` bytes, or whole pages where that passes `limit` or there is none.
    pub(crate) fn of(len: usize, limit: usize) -> Option<Self> {
        let class = CLASSES.iter().position(|&capacity| len <= capacity && capacity <= limit);
        let capacity = class.map_or_else(|| len.max(1).checked_next_multiple_of(PAGE), |class| Some(CLASSES[class]))?;
        (capacity <= limit).then_some(Self { capacity, class })
    }

    /// The longest `len` that [`of`](Self::of) has room for.
    pub(crate) fn most(limit: usize) -> usize {
        limit / PAGE * PAGE
    }
}

impl SizeClasses {
    pub(crate) fn new(max_parked: usize) -> Self {
        let lists = std::array::from_fn(|_| Mutex::default());
        Self { max_parked, parked: AtomicUsize::new(0), lists }
    }

    /// A parked mapping of the class, if there is one.
    pub(crate) fn take(&self, class: usize) -> Option<Mapping> {
        let mut list = lock(&self.lists[class]);
        let mapping = list.parked.pop();
        let left = list.parked.len();
        list.low_water.taken(left);
        if mapping.is_some() {
            list.counters.hits += 1;
            self.parked.fetch_sub(CLASSES[class], Ordering::Relaxed);
        } else {
            list.counters.misses += 1;
        }
        list.counters.live += 1;
        list.counters.peak = list.counters.peak.max(list.counters.live);
        mapping
    }

    /// A lease that `take` counted did not come about.
    pub(crate) fn untake(&self, class: usize) {
        lock(&self.lists[class]).counters.live -= 1;
    }

    /// Parks a mapping, or gives it back to be unmapped if the pool is closed or full.
    pub(crate) fn put(&self, class: usize, mut mapping: Mapping) -> Result<(), Mapping> {
        mapping.poison();
        let mut list = lock(&self.lists[class]);
        list.counters.live -= 1;
        if list.closed || !self.reserve_parked(CLASSES[class]) {
            return Err(mapping);
        }
        list.parked.push(mapping);
        Ok(())
    }

    fn reserve_parked(&self, bytes: usize) -> bool {
        let fits = |now: usize| Some(now + bytes).filter(|&sum| sum <= self.max_parked);
        self.parked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Takes out what decayed, to be unmapped after the locks are gone.
    pub(crate) fn tick(&self, now: Instant, idle_timeout: Duration, mut sink: impl FnMut(Vec<Mapping>, Reason)) {
        for (class, list) in self.lists.iter().enumerate() {
            let mut list = lock(list);
            let (parked, takes) = (list.parked.len(), list.counters.hits + list.counters.misses);
            let (count, reason) = list.low_water.surplus(parked, takes, now, idle_timeout);
            let surplus: Vec<_> = list.parked.drain(..count).collect();
            self.parked.fetch_sub(count * CLASSES[class], Ordering::Relaxed);
            drop(list);
            sink(surplus, reason);
        }
    }

    /// Takes everything parked out; with `close` nothing parks any more.
    pub(crate) fn drain(&self, close: bool) -> Vec<Mapping> {
        let mut all = Vec::new();
        for (class, list) in self.lists.iter().enumerate() {
            let mut list = lock(list);
            list.closed |= close;
            self.parked.fetch_sub(list.parked.len() * CLASSES[class], Ordering::Relaxed);
            all.append(&mut list.parked);
        }
        all
    }

    /// Bytes parked in all classes.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self, class: usize) -> ClassCounters {
        let list = lock(&self.lists[class]);
        ClassCounters { parked: list.parked.len(), ..list.counters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the smallest class.
    fn mapping() -> Mapping {
        Mapping::new(SMALLEST_CLASS).expect("room")
    }

    /// A tier that may keep `most` buffers, and had as many on lease as it has parked.
    fn parked(most: usize, count: usize) -> SizeClasses {
        let classes = SizeClasses::new(most * SMALLEST_CLASS);
        assert!((0..count).all(|_| classes.take(0).is_none()));
        assert!((0..count).all(|_| classes.put(0, mapping()).is_ok()));
        classes
    }

    fn counted(classes: &SizeClasses) -> (usize, usize, usize) {
        let counters = classes.counters(0);
        assert_eq!(classes.parked(), counters.parked * SMALLEST_CLASS);
        (counters.live, counters.peak, counters.parked)
    }

    #[test]
    fn a_lease_that_did_not_come_about_is_not_live() {
        let classes = parked(2, 1);
        assert!(classes.take(0).is_some() && classes.take(0).is_none());
        classes.untake(0);
        assert_eq!(counted(&classes), (1, 2, 0));
        classes.untake(0);
        assert_eq!(counted(&classes), (0, 2, 0));
    }

    #[test]
    fn parked_buffers_fill_the_limit_exactly() {
        let classes = parked(2, 2);
        assert!(classes.take(0).is_some());
        assert!(classes.take(1).is_none());
        assert!(classes.put(0, mapping()).is_ok());
        assert!(classes.put(1, Mapping::new(CLASSES[1]).expect("room")).is_err());
        assert_eq!(counted(&classes), (0, 2, 2));
        assert_eq!((classes.counters(0).hits, classes.counters(0).misses), (1, 2));
    }

    #[test]
    fn a_tick_takes_out_what_it_no_longer_counts() {
        let classes = parked(8, 8);
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let ticked = |now| {
            let mut taken = Vec::new();
            classes.tick(now, 3 * second, |surplus, reason| taken.extend(surplus.iter().map(|_| reason)));
            taken
        };
        assert_eq!(ticked(start), [], "all of them were needed since the last tick");
        assert_eq!(ticked(start + second), [Reason::Decay; 4]);
        assert_eq!(counted(&classes), (0, 8, 4));
        assert!(classes.take(0).is_some());
        assert_eq!(ticked(start + 4 * second), [Reason::Decay; 2], "half of three, rounded up");
        assert_eq!(counted(&classes), (1, 8, 1));
        assert_eq!(ticked(start + 7 * second), [Reason::Idle], "no take for the timeout");
        assert_eq!(counted(&classes), (1, 8, 0));
    }

    #[test]
    fn a_take_that_finds_nothing_is_a_use() {
        let classes = SizeClasses::new(SMALLEST_CLASS);
        let (start, timeout) = (Instant::now(), Duration::from_secs(3));
        let reason = |now| {
            let mut first = None;
            classes.tick(now, timeout, |_, reason| first = first.or(Some(reason)));
            first
        };
        assert_eq!(reason(start), Some(Reason::Decay));
        assert!(classes.take(0).is_none());
        assert_eq!(reason(start + timeout), Some(Reason::Decay));
        assert_eq!(reason(start + 2 * timeout), Some(Reason::Idle));
    }

    #[test]
    fn what_is_drained_is_no_longer_counted_and_a_closed_tier_parks_nothing() {
        let classes = parked(4, 3);
        assert_eq!(classes.drain(false).len(), 3);
        assert_eq!(counted(&classes), (0, 3, 0));
        assert!(classes.take(0).is_none());
        assert!(classes.put(0, mapping()).is_ok());
        assert_eq!(classes.drain(true).len(), 1);
        assert!(classes.take(0).is_none());
        assert!(classes.put(0, mapping()).is_err());
        assert_eq!(counted(&classes), (0, 3, 0));
    }

    #[test]
    fn a_length_fits_the_smallest_class_that_the_limit_allows_else_whole_pages() {
        let fit = |len, limit| Fit::of(len, limit).map(|fit| (fit.capacity, fit.class));
        let all = usize::MAX;
        for (class, capacity) in CLASSES.into_iter().enumerate() {
            assert_eq!(fit(capacity, all), Some((capacity, Some(class))));
            assert_eq!(fit(capacity, capacity), Some((capacity, Some(class))));
        }
        assert_eq!(fit(0, all), Some((SMALLEST_CLASS, Some(0))));
        assert_eq!(fit(CLASSES[2] + 1, all), Some((CLASSES[3], Some(3))));
        assert_eq!(fit(LARGEST_CLASS + 1, all), Some((LARGEST_CLASS + PAGE, None)));
        assert_eq!(fit(5000, SMALLEST_CLASS - 1), Some((2 * PAGE, None)));
        assert_eq!(fit(0, PAGE), Some((PAGE, None)));
        assert_eq!(fit(PAGE + 1, 2 * PAGE - 1), None);
        assert_eq!(fit(all, all), None);
        for limit in [PAGE - 1, PAGE, 3 * PAGE + 5, SMALLEST_CLASS, LARGEST_CLASS + PAGE] {
            let most = Fit::most(limit);
            assert!(most == 0 || fit(most, limit).is_some(), "{limit}");
            assert_eq!(fit(most + 1, limit), None, "{limit}");
        }
    }

    #[test]
    fn a_frame_grows_fourfold_up_to_the_last_class_and_twofold_beyond() {
        assert_eq!(grown(SMALLEST_CLASS), CLASSES[1]);
        assert_eq!(grown(5 << 20), LARGEST_CLASS);
        assert_eq!(grown(LARGEST_CLASS - 1), LARGEST_CLASS);
        assert_eq!(grown(LARGEST_CLASS), 2 * LARGEST_CLASS);
        assert_eq!(grown(usize::MAX - 1), usize::MAX);
    }
}
