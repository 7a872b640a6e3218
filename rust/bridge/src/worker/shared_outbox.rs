//! The hand-off of one worker: frames and endings that it has made and not handed over, which the watcher can take too.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use super::lendable::Lendable;
use super::relief_alarm;
use super::shared_writer::SharedWriter;
use crate::base::lock::{Mutex, MutexGuard};
use crate::state::{Ending, Outbox, StreamCore};

/// Order of the locks: the list of writers, a writer, the outbox.
#[derive(Default)]
pub(crate) struct Handoff {
    outbox: Mutex<Outbox>,
    writers: Mutex<Vec<Weak<Lendable<SharedWriter>>>>,
}

/// What the watcher saw at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Something waits to be handed over.
    pub(super) waits: bool,
    /// How often the worker had handed over.
    pub(super) turns: u64,
}

impl Handoff {
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the watcher cut what drivers write into `writer`.
    pub(super) fn add(&self, writer: &Arc<Lendable<SharedWriter>>) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|writer| writer.strong_count() > 0);
        writers.push(Arc::downgrade(writer));
    }

    /// Parks what was written into `writer` since it was last cut.
    pub(crate) fn park(&self, writer: &mut SharedWriter) {
        if writer.has_run() {
            writer.cut(&mut self.outbox());
        }
    }

    /// The same, to leave with the turn. True: the caller must ask the loop for that.
    pub(crate) fn park_for_turn(&self, writer: &mut SharedWriter) -> bool {
        let mut outbox = self.outbox();
        writer.cut(&mut outbox);
        outbox.must_schedule()
    }

    /// Parks an ending.
    pub(crate) fn park_ending(&self, core: &Arc<StreamCore>, ending: Ending) {
        let mut outbox = self.outbox();
        outbox.park_ending(Arc::clone(core), ending);
        relief_alarm::ring();
    }

    /// True: the caller must ask the loop for a hand-over at the turn's end.
    pub(crate) fn must_schedule(&self) -> bool {
        self.outbox().must_schedule()
    }

    /// True when a batch that is full at `now` should not wait for the turn's end.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.outbox().is_due(now)
    }

    /// Hands over what is parked; on the worker.
    pub(super) fn hand_over(&self) {
        let turn = self.outbox().hand_over();
        if let Some(turn) = turn {
            turn.deliver();
            self.outbox().delivered();
        }
    }

    /// What there is to see for the watcher.
    pub(super) fn look(&self) -> Seen {
        let written = self.each_writer(|writer| writer.lend(|writer| writer.has_run()).unwrap_or(true));
        let outbox = self.outbox();
        Seen { waits: written || !outbox.is_empty(), turns: outbox.turns() }
    }

    /// Hands over in the place of a worker that has not done so since the watcher saw `seen`.
    pub(super) fn relieve(&self, seen: Seen) {
        if self.outbox().turns() != seen.turns {
            return;
        }
        self.each_writer(|writer| {
            writer.lend(|writer| self.park(writer));
            false
        });
        self.outbox().relieve();
    }

    /// True if `look` says so of any writer; all are looked at.
    fn each_writer(&self, look: impl Fn(&Lendable<SharedWriter>) -> bool) -> bool {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.iter().filter_map(Weak::upgrade).fold(false, |any, writer| any | look(&writer))
    }
}

impl fmt::Debug for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handoff").finish_non_exhaustive()
    }
}
