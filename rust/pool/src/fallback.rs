//! The fallback of writers and large buffers over the ceiling: memory outside the pool, which is counted.

use crate::budget::{Budget, Charge, Direction};
use crate::pool_state::PoolState;
use crate::sync::Ordering;

impl PoolState {
    /// `bytes` of the budget for what a handler yields; over the ceiling or after a fork none: its memory is none of the pool's, and
    /// one more fallback is counted.
    #[inline]
    pub(crate) fn charge_or_fall_back(&self, bytes: usize) -> Option<Charge> {
        let charge = if self.is_forked() { None } else { Budget::charge(&self.budget, Direction::Outbound, bytes) };
        if charge.is_none() {
            self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        }
        charge
    }
}
