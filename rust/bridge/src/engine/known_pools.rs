//! The list of all pools of the process, and their totals.

use pybridge_pool::{Pool, WeakPool};

use super::leak_log::log_leaks_of;
use crate::base::lock::{Mutex, lock};

static POOLS: Mutex<Vec<WeakPool>> = Mutex::new(Vec::new());

/// Notes a pool for the totals of the process, and has its leaks logged.
pub(super) fn know_pool(pool: &Pool) {
    log_leaks_of(pool);
    let mut pools = lock(&POOLS);
    pools.retain(|pool| pool.upgrade().is_some());
    pools.push(pool.downgrade());
}

/// Live, parked and pinned bytes of all pools.
pub(crate) fn pool_totals() -> (usize, usize, usize) {
    let pools: Vec<Pool> = lock(&POOLS).iter().filter_map(WeakPool::upgrade).collect();
    pools.iter().map(Pool::stats).fold((0, 0, 0), |(live, parked, pinned), stats| {
        (live + stats.live_bytes, parked + stats.parked_bytes, pinned + stats.pinned_bytes)
    })
}
