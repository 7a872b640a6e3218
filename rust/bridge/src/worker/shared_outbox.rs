//! The outbox of one worker with its writers: frames and endings not dispatched yet, which the relief can take too.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::busy_worker_alarm;
use super::lendable::Lendable;
use super::shared_writer::SharedWriter;
use crate::base::lock::{Mutex, MutexGuard, lock};
use crate::state::{Ending, Outbox, StreamState};

/// Order of the locks: the list of writers, a writer, the outbox.
#[derive(Default)]
pub(crate) struct SharedOutbox {
    outbox: Mutex<Outbox>,
    writers: Mutex<Vec<Weak<Lendable<SharedWriter>>>>,
}

/// What the watcher saw at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Something waits to be dispatched.
    pub(super) waits: bool,
    /// How often the worker had flushed.
    pub(super) turns: u64,
}

impl SharedOutbox {
    pub(super) fn lock(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    /// Lets the watcher cut what drivers write into `writer`.
    pub(super) fn add(&self, writer: &Arc<Lendable<SharedWriter>>) {
        let mut writers = lock(&self.writers);
        writers.retain(|writer| writer.strong_count() > 0);
        writers.push(Arc::downgrade(writer));
    }

    /// Queues what was written into `writer` since it was last cut.
    pub(crate) fn enqueue(&self, writer: &mut SharedWriter) {
        if writer.has_run() {
            writer.cut(&mut self.lock());
        }
    }

    /// The same, to leave with the turn. True: the caller must ask the loop for that.
    pub(crate) fn enqueue_for_turn(&self, writer: &mut SharedWriter) -> bool {
        let mut outbox = self.lock();
        writer.cut(&mut outbox);
        outbox.must_schedule()
    }

    /// Queues an ending.
    pub(crate) fn enqueue_ending(&self, stream: &Arc<StreamState>, ending: Ending) {
        let mut outbox = self.lock();
        outbox.enqueue_ending(Arc::clone(stream), ending);
        busy_worker_alarm::ring();
    }

    /// True: the caller must ask the loop for a flush at the turn's end.
    pub(crate) fn must_schedule(&self) -> bool {
        self.lock().must_schedule()
    }

    /// True when a batch that is full at `now` should not wait for the turn's end.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.lock().is_due(now)
    }

    /// Dispatches what is queued; on the worker.
    pub(super) fn dispatch(&self) {
        let handoff = self.lock().hand_off();
        if let Some(handoff) = handoff {
            handoff.deliver_all();
            self.lock().delivered();
        }
    }

    /// What there is to see for the watcher.
    pub(super) fn look(&self) -> Seen {
        let written = self.each_writer(|writer| writer.lend(|writer| writer.has_run()).unwrap_or(true));
        let outbox = self.lock();
        Seen { waits: written || !outbox.is_empty(), turns: outbox.turns() }
    }

    /// Dispatches in the place of a worker that has not done so since the watcher saw `seen`.
    pub(super) fn relieve(&self, seen: Seen) {
        if self.lock().turns() != seen.turns {
            return;
        }
        self.each_writer(|writer| {
            writer.lend(|writer| self.enqueue(writer));
            false
        });
        self.lock().relieve();
    }

    /// True if `look` says so of any writer; all are looked at.
    fn each_writer(&self, look: impl Fn(&Lendable<SharedWriter>) -> bool) -> bool {
        let writers = lock(&self.writers);
        writers.iter().filter_map(Weak::upgrade).fold(false, |any, writer| any | look(&writer))
    }
}

impl fmt::Debug for SharedOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedOutbox").finish_non_exhaustive()
    }
}
