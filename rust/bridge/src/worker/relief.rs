//! The watcher: what a worker made and cannot hand over, since a handler keeps its thread busy, leaves within 15 ms.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::relief_alarm;
use super::shared_outbox::{Handoff, Seen};
use crate::base::lock::Mutex;

/// Time between two looks at all workers.
const PERIOD: Duration = Duration::from_millis(10);

/// What still waits so long after a look saw it is not on its way: a turn that goes on ends before, and keeps its batches
/// whole.
const SECOND_LOOK: Duration = Duration::from_millis(2);

/// The watcher sleeps when nothing was made for so long.
const QUIET: Duration = Duration::from_secs(1);

static HANDOFFS: Mutex<Vec<Weak<Handoff>>> = Mutex::new(Vec::new());

/// Has the watcher look at a worker for as long as that has its hand-off.
pub(super) fn register(handoff: &Arc<Handoff>) {
    let mut handoffs = HANDOFFS.lock().unwrap_or_else(PoisonError::into_inner);
    handoffs.retain(|handoff| handoff.strong_count() > 0);
    handoffs.push(Arc::downgrade(handoff));
}

/// Relieves all workers for as long as the runtime runs.
pub(crate) async fn relieve_workers() {
    let mut before = Vec::new();
    let mut active = Instant::now();
    loop {
        let seen = look();
        if seen.iter().any(|(_, seen)| seen.waits) {
            sleep(SECOND_LOOK).await;
            for (handoff, seen) in seen.iter().filter(|(_, seen)| seen.waits) {
                if let Some(handoff) = handoff.upgrade() {
                    handoff.relieve(*seen);
                }
            }
        }
        let now: Vec<Seen> = seen.into_iter().map(|(_, seen)| seen).collect();
        if now.iter().any(|seen| seen.waits) || now != before {
            active = Instant::now();
        }
        before = now;
        if active.elapsed() >= QUIET && relief_alarm::may_sleep(|| look().iter().all(|(_, seen)| !seen.waits)) {
            relief_alarm::rung().await;
            active = Instant::now();
        }
        sleep(PERIOD).await;
    }
}

fn look() -> Vec<(Weak<Handoff>, Seen)> {
    let handoffs = HANDOFFS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    handoffs.into_iter().filter_map(|handoff| handoff.upgrade().map(|open| (handoff, open.look()))).collect()
}
