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
pub(crate) struct Large {
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

impl Large {
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
