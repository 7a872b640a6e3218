//! The alarm that wakes the relief of busy workers.

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;

use super::alarm::Alarm;

static ALARM: Alarm = Alarm::new(AtomicBool::new(true));
static BELL: Notify = Notify::const_new();

/// Something was made: the watcher is woken if it sleeps. Call it under the lock of what was made.
#[inline]
pub(super) fn ring() {
    ALARM.ring(|| BELL.notify_one());
}

/// True: the watcher may sleep until [`rung`] is ready. `is_quiet` looks once more, under every lock.
pub(super) fn may_sleep(is_quiet: impl FnOnce() -> bool) -> bool {
    ALARM.may_sleep(is_quiet)
}

/// Suspends until somebody has rung.
pub(super) async fn rung() {
    BELL.notified().await;
}
