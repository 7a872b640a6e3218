//! Lines in the log about leaks of pools: which request holds how many bytes for how long.

use pybridge_pool::{Leak, Pool};

use crate::base::log;
use crate::state::{StreamState, request_of};
use crate::worker;

/// Logs each leak that `pool` finds, on whichever worker is there: the thread that finds it never attaches.
pub(super) fn log_leaks_of(pool: &Pool) {
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
