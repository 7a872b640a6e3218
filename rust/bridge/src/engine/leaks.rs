//! Buffers that nobody gives back, as Python's logging hears of them.

use pybridge_pool::{Leak, Pool};

use super::core;
use crate::stream::StreamCore;
use crate::{log, worker};

/// Logs each leak that `pool` finds, on whichever worker is there: the thread that finds it never attaches.
pub(super) fn log_leaks_of(pool: &Pool) {
    pool.on_leak(|leak| {
        let message = describe(leak);
        worker::run_on_any(move |py, _port| log::notice(py, "pool", &message));
    });
}

fn describe(leak: &Leak) -> String {
    let Leak { stream, bytes, age } = leak;
    let owner = match stream {
        0 => "of no stream".to_owned(),
        &id => match core::request_of(id) {
            Some(request) => format!("of request {request}"),
            None => format!("of request {}, which has ended", StreamCore::made_up_name(id)),
        },
    };
    format!("a buffer of {bytes} bytes {owner} has been in use for {} s: something holds its frames", age.as_secs())
}
