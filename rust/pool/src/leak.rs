//! Leak sampling: one lease in 128 is remembered with its stream and age.

use std::fmt;
use std::time::{Duration, Instant};

use crate::sync::{Arc, Mutex, lock};

/// One lease in this many is watched: rare enough to cost nothing, often enough that a leaking stream shows soon.
const SAMPLE_EVERY: u32 = 128;

/// Whether the lease with this number, of a pool or of a writer, is watched.
#[inline]
pub(crate) fn is_watched(lease: u32) -> bool {
    lease.is_multiple_of(SAMPLE_EVERY)
}

/// Watched at once; more would mean that nearly everything leaks, which the first reports already say.
const MAX_SAMPLES: usize = 4096;

/// A lease that outlived `leak_after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Stream that the writer named with [`Writer::set_stream`](crate::Writer::set_stream); 0 if none.
    pub stream: u64,
    /// Bytes of the lease.
    pub bytes: usize,
    /// Time since it was taken.
    pub age: Duration,
}

/// A watched lease; dropped with it.
#[derive(Debug)]
pub(crate) struct Sample {
    watch: Arc<LeaseWatch>,
    index: usize,
}

impl Drop for Sample {
    fn drop(&mut self) {
        let mut table = lock(&self.watch.table);
        table.entries[self.index] = None;
        table.free.push(self.index);
    }
}

#[derive(Debug)]
struct Watched {
    stream: u64,
    bytes: usize,
    since: Instant,
    reported: bool,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Option<Watched>>,
    free: Vec<usize>,
}

type Hook = Box<dyn Fn(&Leak) + Send + Sync>;

/// The watched leases of a pool.
#[derive(Default)]
pub(crate) struct LeaseWatch {
    table: Mutex<Table>,
    hook: Mutex<Option<Hook>>,
}

impl LeaseWatch {
    /// Remembers a lease, unless the table is full.
    pub(crate) fn begun(this: &Arc<Self>, stream: u64, bytes: usize) -> Option<Sample> {
        let entry = Some(Watched { stream, bytes, since: Instant::now(), reported: false });
        let mut table = lock(&this.table);
        let index = if let Some(index) = table.free.pop() {
            table.entries[index] = entry;
            index
        } else if table.entries.len() < MAX_SAMPLES {
            table.entries.push(entry);
            table.entries.len() - 1
        } else {
            return None;
        };
        Some(Sample { watch: this.clone(), index })
    }

    /// Sets what `report` calls.
    pub(crate) fn set_hook(&self, hook: Hook) {
        *lock(&self.hook) = Some(hook);
    }

    /// Calls the hook, outside all locks, once for each lease older than `after`; returns how many there were.
    pub(crate) fn report(&self, now: Instant, after: Duration) -> usize {
        let mut overdue = Vec::new();
        for watched in lock(&self.table).entries.iter_mut().flatten() {
            let age = now.saturating_duration_since(watched.since);
            if !watched.reported && age >= after {
                watched.reported = true;
                overdue.push(Leak { stream: watched.stream, bytes: watched.bytes, age });
            }
        }
        let hook = if overdue.is_empty() { None } else { lock(&self.hook).take() };
        if let Some(hook) = hook {
            overdue.iter().for_each(&hook);
            lock(&self.hook).get_or_insert(hook);
        }
        overdue.len()
    }
}

impl fmt::Debug for LeaseWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseWatch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(watch: &Arc<LeaseWatch>, count: usize) -> Vec<Sample> {
        (0..count).filter_map(|stream| LeaseWatch::begun(watch, stream as u64, 10)).collect()
    }

    #[test]
    fn so_many_leases_are_watched_at_once_and_those_that_end_make_room() {
        let watch = Arc::new(LeaseWatch::default());
        let mut samples = watched(&watch, MAX_SAMPLES + 1);
        assert_eq!(samples.len(), MAX_SAMPLES);
        samples.truncate(MAX_SAMPLES - 2);
        assert_eq!(watched(&watch, 3).len(), 2);
    }

    #[test]
    fn a_lease_is_old_from_its_age_on_and_is_reported_once() {
        let watch = Arc::new(LeaseWatch::default());
        let samples = watched(&watch, 2);
        let (now, age) = (Instant::now(), Duration::from_secs(60));
        assert_eq!(watch.report(now, age), 0);
        assert_eq!(watch.report(now + age, age), 2);
        assert_eq!(watch.report(now + 2 * age, age), 0);
        let late = watched(&watch, 1);
        drop(samples);
        assert_eq!(watch.report(now + 3 * age, age), 1);
        drop(late);
        assert_eq!(watch.report(now + 4 * age, age), 0);
    }

    #[test]
    fn the_hook_stays_and_may_look_at_the_pool_it_is_called_by() {
        let watch = Arc::new(LeaseWatch::default());
        let (seen, inner) = (Arc::new(Mutex::new(Vec::new())), watch.clone());
        let sink = seen.clone();
        watch.set_hook(Box::new(move |leak| {
            assert_eq!(inner.report(Instant::now(), Duration::from_secs(3600)), 0);
            lock(&sink).push((leak.stream, leak.bytes));
        }));
        let later = Instant::now() + Duration::from_secs(60);
        for _ in 0..2 {
            let samples = watched(&watch, 2);
            assert_eq!(watch.report(later + Duration::from_secs(1), Duration::from_secs(60)), 2);
            drop(samples);
        }
        let mut found = lock(&seen).clone();
        found.sort_unstable();
        assert_eq!(found, [(0, 10), (0, 10), (1, 10), (1, 10)]);
    }
}
