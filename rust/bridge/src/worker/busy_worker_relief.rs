//! Relief of busy workers: where a handler keeps its worker's thread, the runtime flushes the outbox within 15 ms.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::busy_worker_alarm;
use super::shared_outbox::{Seen, SharedOutbox};
use crate::base::lock::{Mutex, lock};

/// Time between two looks at all workers.
const PERIOD: Duration = Duration::from_millis(10);

/// What still waits so long after a look saw it is not on its way: a turn that goes on ends before, and keeps its batches
/// whole.
const SECOND_LOOK: Duration = Duration::from_millis(2);

/// The watcher sleeps when nothing was made for so long.
const QUIET: Duration = Duration::from_secs(1);

static OUTBOXES: Mutex<Vec<Weak<SharedOutbox>>> = Mutex::new(Vec::new());

/// Has the watcher look at a worker for as long as that has its hand-off.
pub(super) fn register(outbox: &Arc<SharedOutbox>) {
    let mut outboxes = lock(&OUTBOXES);
    outboxes.retain(|outbox| outbox.strong_count() > 0);
    outboxes.push(Arc::downgrade(outbox));
}

/// Relieves all workers for as long as the runtime runs.
pub(crate) async fn relieve_workers() {
    let mut before = Vec::new();
    let mut active = Instant::now();
    loop {
        let seen = look();
        if seen.iter().any(|(_, seen)| seen.waits) {
            sleep(SECOND_LOOK).await;
            for (outbox, seen) in seen.iter().filter(|(_, seen)| seen.waits) {
                if let Some(outbox) = outbox.upgrade() {
                    outbox.relieve(*seen);
                }
            }
        }
        let now: Vec<Seen> = seen.into_iter().map(|(_, seen)| seen).collect();
        if now.iter().any(|seen| seen.waits) || now != before {
            active = Instant::now();
        }
        before = now;
        if active.elapsed() >= QUIET && busy_worker_alarm::may_sleep(|| look().iter().all(|(_, seen)| !seen.waits)) {
            busy_worker_alarm::rung().await;
            active = Instant::now();
        }
        sleep(PERIOD).await;
    }
}

fn look() -> Vec<(Weak<SharedOutbox>, Seen)> {
    let outboxes = lock(&OUTBOXES).clone();
    outboxes.into_iter().filter_map(|outbox| outbox.upgrade().map(|open| (outbox, open.look()))).collect()
}
