//! The alarm of a watcher that sleeps while there is nothing to do: whoever makes something wakes it. It knows no
//! Python: `rust/bridge/models` compiles this very file and checks every interleaving.

use super::sync::{AtomicBool, Ordering};

/// Tells those who make something whether they must wake the watcher.
#[derive(Debug)]
pub(crate) struct Alarm {
    awake: AtomicBool,
}

impl Alarm {
    /// `awake`: whether the watcher is, or is about to be.
    pub(crate) const fn new(awake: AtomicBool) -> Self {
        Self { awake }
    }

    /// Calls `wake` if the watcher sleeps and nobody has woken it. Call it under the lock that what was made lies behind:
    /// that orders it with the last look of a watcher that goes to sleep.
    #[inline]
    pub(crate) fn ring(&self, wake: impl FnOnce()) {
        if !self.awake.load(Ordering::Relaxed) && !self.awake.swap(true, Ordering::AcqRel) {
            wake();
        }
    }

    /// True: the watcher may sleep. `is_quiet` looks once more, under every lock.
    pub(crate) fn may_sleep(&self, is_quiet: impl FnOnce() -> bool) -> bool {
        self.awake.store(false, Ordering::Relaxed);
        let quiet = is_quiet();
        if !quiet {
            self.awake.store(true, Ordering::Relaxed);
        }
        quiet
    }
}
