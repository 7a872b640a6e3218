//! The phases of a server, from its start to its end, and whether others take its place.

use tokio::sync::watch;

/// Where a server is in its life. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It takes calls.
    Serving,
    /// It takes calls, and tells those who ask that it is not ready.
    Settling,
    /// It refuses calls; those that are live go on.
    Draining,
    /// It accepts no connections, and those that are idle close.
    Closing,
    /// Everything is cut off.
    Stopped,
}

/// The phase of one server, which others wait for.
#[derive(Debug)]
pub(super) struct Phases(watch::Sender<Phase>);

impl Default for Phases {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
}

impl Phases {
    pub(super) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to `phase`, if it is not there yet.
    pub(super) fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let goes_on = *now < phase;
            *now = phase.max(*now);
            goes_on
        });
    }

    /// Waits until `phase` is reached.
    pub(super) async fn reached(&self, phase: Phase) {
        let mut phases = self.0.subscribe();
        // The sender is borrowed: it cannot have gone.
        let _ = phases.wait_for(|now| *now >= phase).await;
    }
}

/// Whether other processes serve on a server's sockets in its place.
#[derive(Debug, Default)]
pub(super) struct Leaving(watch::Sender<bool>);

impl Leaving {
    pub(super) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it has begun.
    pub(super) async fn begun(&self) {
        let mut leaving = self.0.subscribe();
        // The sender is borrowed: it cannot have gone.
        let _ = leaving.wait_for(|&has_begun| has_begun).await;
    }
}
