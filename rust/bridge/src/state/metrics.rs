//! Counters of one engine. Plain atomics, written per crossing or per stream, never per item.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ending::{Cancellation, Ending};
use crate::base::lock::{Mutex, lock};
use crate::error::Reason;

/// Upper bounds, included, of ranges.
pub(crate) type Bounds = [f64; 10];

/// Items of a batch.
pub(crate) const BATCH_ITEMS: Bounds = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0, f64::INFINITY];

/// Seconds.
pub(crate) const SECONDS: Bounds = [0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, f64::INFINITY];

/// Values counted by range.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    counts: [AtomicU64; 10],
    /// The bits of an `f64`.
    total: AtomicU64,
}

impl Ranges {
    fn count(&self, bounds: &Bounds, value: f64) {
        self.counts[range_of(bounds, value)].fetch_add(1, Ordering::Relaxed);
        self.add_to_total(value);
    }

    fn add_to_total(&self, value: f64) {
        let add = |total| Some((f64::from_bits(total) + value).to_bits());
        let _ = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// How many values each range has, and the sum of all values.
    pub(crate) fn read(&self) -> ([u64; 10], f64) {
        let counts = std::array::from_fn(|range| self.counts[range].load(Ordering::Relaxed));
        (counts, f64::from_bits(self.total.load(Ordering::Relaxed)))
    }
}

/// Which range has `value`.
fn range_of(bounds: &Bounds, value: f64) -> usize {
    bounds.iter().position(|&bound| value <= bound).unwrap_or(bounds.len() - 1)
}

/// Batches of one engine that leave together.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    frames: usize,
    bytes: usize,
    items: [u64; 10],
}

impl Batches {
    pub(crate) fn add(&mut self, frames: usize, bytes: usize) {
        self.frames += frames;
        self.bytes += bytes;
        self.items[range_of(&BATCH_ITEMS, frames as f64)] += 1;
    }
}

/// Counters since the engine's start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) started: AtomicU64,
    pub(crate) finished: AtomicU64,
    pub(crate) raised: AtomicU64,
    pub(crate) cancelled: [AtomicU64; Reason::ALL.len()],
    pub(crate) refused: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) crossings: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) close_ignored: AtomicU64,
    pub(crate) close_timeout: AtomicU64,
    pub(crate) close_error: AtomicU64,
    pub(crate) panics: AtomicU64,
    /// Items of each batch.
    pub(crate) batch_items: Ranges,
    /// Seconds from a call to its first item.
    pub(crate) first_item: Ranges,
    /// Seconds from the request to stop a stream to its ending.
    pub(crate) cancel: Ranges,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// Distinct exception classes counted by name; the rest are counted together.
const MAX_ERROR_CLASSES: usize = 256;

impl Metrics {
    pub(crate) fn count_ending(&self, ending: &Ending) {
        match ending {
            Ending::Finished => {
                self.finished.fetch_add(1, Ordering::Relaxed);
            }
            Ending::Raised(failure) => {
                self.raised.fetch_add(1, Ordering::Relaxed);
                let mut errors = lock(&self.errors);
                let class = if errors.len() < MAX_ERROR_CLASSES || errors.contains_key(&failure.class) {
                    failure.class.as_str()
                } else {
                    "other"
                };
                *errors.entry(class.to_owned()).or_default() += 1;
            }
            Ending::Cancelled(Cancellation { reason, .. }) => {
                self.cancelled[*reason as usize - 1].fetch_add(1, Ordering::Relaxed);
                if *reason == Reason::SlowConsumer {
                    self.slow_consumers.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Counts a call that became no stream.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a crossing with these batches.
    pub(crate) fn count_crossing(&self, batches: &Batches) {
        self.crossings.fetch_add(1, Ordering::Relaxed);
        if batches.frames == 0 {
            return;
        }
        self.frames.fetch_add(batches.frames as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batches.bytes as u64, Ordering::Relaxed);
        for (range, &count) in self.batch_items.counts.iter().zip(&batches.items).filter(|(_, count)| **count > 0) {
            range.fetch_add(count, Ordering::Relaxed);
        }
        self.batch_items.add_to_total(batches.frames as f64);
    }

    /// Counts the time from a stream's start to its first item.
    pub(crate) fn count_first_item(&self, seconds: f64) {
        self.first_item.count(&SECONDS, seconds);
    }

    /// Counts the time from the request to stop a stream to its ending.
    pub(crate) fn count_cancel(&self, seconds: f64) {
        self.cancel.count(&SECONDS, seconds);
    }

    /// Failures by exception class.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        lock(&self.errors).clone()
    }
}
