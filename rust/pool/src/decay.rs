//! The decay rule of both free lists: the part that nobody needed lately.

use std::time::{Duration, Instant};

/// Why parked memory was given back to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Decay,
    Idle,
    Trim,
    Cap,
}

/// Lowest number of parked buffers since the last tick, and when the list was last used.
#[derive(Debug, Default)]
pub(crate) struct LowWater {
    low: usize,
    takes: u64,
    used: Option<Instant>,
}

impl LowWater {
    /// A buffer was taken; `left` are still parked.
    pub(crate) fn taken(&mut self, left: usize) {
        self.low = self.low.min(left);
    }

    /// How many of the `parked` buffers to release: half of what nobody needed since the last tick, rounded
    /// up; all of them once `takes` has not moved for `idle_timeout`.
    pub(crate) fn surplus(
        &mut self,
        parked: usize,
        takes: u64,
        now: Instant,
        idle_timeout: Duration,
    ) -> (usize, Reason) {
        if self.takes != takes || self.used.is_none() {
            self.takes = takes;
            self.used = Some(now);
        }
        let idle = self.used.is_some_and(|used| now.saturating_duration_since(used) >= idle_timeout);
        let count = if idle { parked } else { self.low.min(parked).div_ceil(2) };
        self.low = parked - count;
        (count, if idle { Reason::Idle } else { Reason::Decay })
    }
}
