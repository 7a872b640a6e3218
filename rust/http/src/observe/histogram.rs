//! Durations counted by range.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds, included, of all ranges but the last, in microseconds.
pub(super) type Bounds = [u64; 15];

/// How many durations each range has; the last has no bound.
type Counts<T> = [T; 16];

/// Durations of many tasks.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    counts: Counts<AtomicU64>,
    /// Sum of all durations.
    nanos: AtomicU64,
}

/// Durations of one task, on their way to a [`Histogram`]: counting there takes no turn with other tasks.
#[derive(Debug, Default)]
pub(super) struct Tallied {
    counts: Counts<u64>,
    nanos: u64,
}

/// What a [`Histogram`] holds.
pub(super) struct Reading {
    /// Upper bounds in seconds, and how many durations are no longer.
    pub(super) up_to: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) seconds: f64,
}

/// Durations of more than 500 years count as that.
fn nanos_of(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

fn range_of(bounds: &Bounds, nanos: u64) -> usize {
    bounds.iter().position(|bound| nanos <= bound * 1000).unwrap_or(bounds.len())
}

impl Tallied {
    /// Counts `times` equal parts of a duration; `bounds`: those of the histogram to come.
    pub(super) fn count(&mut self, bounds: &Bounds, whole: Duration, times: u64) {
        let nanos = nanos_of(whole);
        let part = if times > 1 { nanos / times } else { nanos };
        self.counts[range_of(bounds, part)] += times;
        self.nanos = self.nanos.saturating_add(nanos);
    }
}

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, counts: Default::default(), nanos: AtomicU64::new(0) }
    }

    pub(super) fn count(&self, duration: Duration) {
        let nanos = nanos_of(duration);
        self.counts[range_of(self.bounds, nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Takes over what was tallied with the same bounds.
    pub(super) fn add(&self, tallied: &mut Tallied) {
        let Tallied { counts, nanos } = std::mem::take(tallied);
        for (count, more) in self.counts.iter().zip(counts).filter(|(_, more)| *more > 0) {
            count.fetch_add(more, Ordering::Relaxed);
        }
        if nanos > 0 {
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Reading {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(self.bounds.len());
        for (number, bound) in self.counts.iter().zip(self.bounds) {
            count += number.load(Ordering::Relaxed);
            up_to.push((*bound as f64 / 1e6, count));
        }
        let beyond = self.counts[self.bounds.len()].load(Ordering::Relaxed);
        Reading { up_to, count: count + beyond, seconds: self.nanos.load(Ordering::Relaxed) as f64 / 1e9 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];

    fn counts(histogram: &Histogram) -> Vec<u64> {
        let Reading { up_to, count, .. } = histogram.read();
        up_to.into_iter().map(|(_, count)| count).chain([count]).collect()
    }

    #[test]
    fn each_bound_belongs_to_the_range_below_it() {
        let histogram = Histogram::new(&BOUNDS);
        for nanos in [0, 1000, 1001, 50_000_000, 50_000_001] {
            histogram.count(Duration::from_nanos(nanos));
        }
        assert_eq!(counts(&histogram), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5]);
        let Reading { up_to, seconds, .. } = histogram.read();
        assert_eq!((up_to[0].0, up_to[14].0), (1e-6, 0.05));
        assert!((seconds - 0.100_002_002).abs() < 1e-12, "{seconds}");
    }

    #[test]
    fn what_was_tallied_is_counted_once() {
        let (histogram, mut tallied) = (Histogram::new(&BOUNDS), Tallied::default());
        tallied.count(&BOUNDS, Duration::from_micros(40), 4);
        tallied.count(&BOUNDS, Duration::from_secs(1), 1);
        for _ in 0..2 {
            histogram.add(&mut tallied);
        }
        assert_eq!(
            counts(&histogram),
            [0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5],
            "four parts of 10 microseconds"
        );
        assert!((histogram.read().seconds - 1.000_04).abs() < 1e-9);
    }

    #[test]
    fn durations_without_measure_do_not_overflow() {
        let (histogram, mut tallied) = (Histogram::new(&BOUNDS), Tallied::default());
        histogram.count(Duration::MAX);
        tallied.count(&BOUNDS, Duration::ZERO, 0);
        histogram.add(&mut tallied);
        assert_eq!(histogram.read().count, 1);
    }
}
