//! The list of all pools of the process: their totals, and the logging of their leaks.

use pybridge_pool::{Leak, Pool, WeakPool};

use crate::base::lock::{Mutex, lock};
use crate::base::log;
use crate::state::{StreamState, request_of};
use crate::worker;

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

/// Logs each leak that `pool` finds, on whichever worker is there: the thread that finds it never attaches.
fn log_leaks_of(pool: &Pool) {
    pool.on_leak(|leak| {
        let message = describe(leak);
        worker::run_on_any(move |py, _worker| log::notice(py, "pool", &message));
    });
}

fn describe(leak: &Leak) -> String {
    let Leak { stream, bytes, age } = leak;
    let owner = match stream {
        0 => "of no stream".to_owned(),
        &id => match request_of(id) {
            Some(request) => format!("of request {request}"),
            None => format!("of request {}, which has ended", StreamState::made_up_name(id)),
        },
    };
    format!("a buffer of {bytes} bytes {owner} has been in use for {} s: something holds its frames", age.as_secs())
}
