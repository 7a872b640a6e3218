//! The number of a stream's items that have come, and the times of the first and the last.

use tokio::time::Instant;

/// Items that have come so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    /// When the first and the last of them came.
    pub(crate) times: Option<(Instant, Instant)>,
}

impl Tally {
    /// Notes that now so many have come in all.
    pub(crate) fn note(&mut self, items: u64) {
        if items > self.items {
            let now = Instant::now();
            let first = self.times.map_or(now, |(first, _)| first);
            *self = Self { items, times: Some((first, now)) };
        }
    }
}
