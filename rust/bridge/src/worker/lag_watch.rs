//! The watch over all event loops: each is asked a few times a second while it has live streams.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::info::WorkerInfo;
use super::lag::micros;
use super::mailbox::Mailbox;
use super::registry::open_workers;
use super::stall_report;
use crate::base::log;
use crate::state::{Command, CommandSink};

/// Time between two questions: often enough to see a stall of a second, too seldom to cost anything.
const PERIOD: Duration = Duration::from_millis(250);

/// A loop that has not answered for this long stands still.
const STALL: Duration = Duration::from_secs(1);

/// Asks all loops for as long as the runtime runs.
pub(crate) async fn watch_loops() {
    loop {
        tokio::time::sleep(PERIOD).await;
        for (mailbox, info) in open_workers() {
            look(&mailbox, &info);
        }
    }
}

fn look(mailbox: &Mailbox, info: &Arc<WorkerInfo>) {
    let lag = &info.lag;
    if let Some(waited) = lag.open_for() {
        if u128::from(waited) >= STALL.as_micros() && !lag.stalled.swap(true, Ordering::Relaxed) {
            lag.stalls.fetch_add(1, Ordering::Relaxed);
            stall_report::report(info);
        }
    } else if info.live.load(Ordering::Relaxed) == 0 {
        lag.last.store(0, Ordering::Relaxed);
        if lag.used.swap(false, Ordering::Relaxed) {
            // asyncio's loop sleeps with the last timer that it threw out in its hands, and that with the context of the
            // handler that cancelled it: one more turn, and it sleeps with empty hands.
            drop(mailbox.post(Command::run(|_py| {})));
        }
    } else {
        lag.asked.store(micros(), Ordering::Relaxed);
        let asked = Arc::clone(info);
        let question = Command::run(move |py| {
            let waited = asked.lag.open_for().unwrap_or_default();
            asked.lag.last.store(waited, Ordering::Relaxed);
            asked.lag.asked.store(0, Ordering::Relaxed);
            if asked.lag.stalled.swap(false, Ordering::Relaxed) {
                let message = format!("the event loop of worker {} stood still for {} ms", asked.name, waited / 1000);
                log::notice(py, "worker", &message);
            }
        });
        if mailbox.post(question).is_err() {
            lag.asked.store(0, Ordering::Relaxed);
        }
    }
}
