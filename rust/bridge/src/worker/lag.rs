//! The lag of one event loop: how late it answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is known of one loop's answers. Times are microseconds since the epoch of the runtime.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// When the open question was asked; 0: none is open.
    pub(super) asked: AtomicU64,
    pub(super) last: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) stalled: AtomicBool,
    /// It has run a handler since it was last given a turn of its own.
    pub(super) used: AtomicBool,
}

impl Lag {
    /// How late the loop is now.
    pub(super) fn now(&self) -> Duration {
        Duration::from_micros(self.last.load(Ordering::Relaxed).max(self.open_for().unwrap_or_default()))
    }

    /// Times that the loop stood still for longer than a second.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// True while the loop stands still.
    pub(super) fn stands(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Notes that the loop runs a handler.
    pub(super) fn note_use(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    pub(super) fn open_for(&self) -> Option<u64> {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked != 0).then(|| micros().saturating_sub(asked))
    }
}

pub(super) fn micros() -> u64 {
    let since = Instant::now().saturating_duration_since(crate::base::runtime::epoch());
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1)
}
