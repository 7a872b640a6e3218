//! Counters of one engine. Plain atomics, written per batch or per stream, never per item.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::stream::{Cancellation, Ending, Reason};

/// Upper bounds of the buckets of items per hand-over.
pub(crate) const BATCH_BUCKETS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, u64::MAX];

/// Upper bounds, in seconds, of the buckets of time to first item.
pub(crate) const FIRST_ITEM_BUCKETS: [f64; 10] = [0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, f64::INFINITY];

/// Counters since the engine's start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) started: AtomicU64,
    pub(crate) finished: AtomicU64,
    pub(crate) raised: AtomicU64,
    pub(crate) cancelled: [AtomicU64; Reason::ALL.len()],
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) crossings: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) decoded_bytes: AtomicU64,
    pub(crate) close_ignored: AtomicU64,
    pub(crate) close_timeout: AtomicU64,
    pub(crate) close_error: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) batch_items: [AtomicU64; BATCH_BUCKETS.len()],
    pub(crate) first_item: [AtomicU64; FIRST_ITEM_BUCKETS.len()],
    errors: Mutex<HashMap<String, u64>>,
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
                let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Counts one sealed batch.
    pub(crate) fn count_batch(&self, frames: usize, bytes: usize) {
        let frames = frames as u64;
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let bucket = BATCH_BUCKETS.iter().position(|&bound| frames <= bound).unwrap_or(BATCH_BUCKETS.len() - 1);
        self.batch_items[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the time from a stream's start to its first item.
    pub(crate) fn count_first_item(&self, seconds: f64) {
        let bucket =
            FIRST_ITEM_BUCKETS.iter().position(|&bound| seconds <= bound).unwrap_or(FIRST_ITEM_BUCKETS.len() - 1);
        self.first_item[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Failures by exception class.
    pub(crate) fn errors(&self) -> HashMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
