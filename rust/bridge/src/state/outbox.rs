//! The outbox of a worker: batches and endings of all its streams, which leave together at the end of a turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pybridge_pool::Batch;

use super::dispatcher::{Delivery, Dispatcher, Payload, dispatcher};
use super::ending::Ending;
use super::metrics::Batches;
use super::stream_state::StreamState;
use crate::base::fault;

/// Full batches cross at most this often within a turn: a crossing that finds the runtime asleep costs as much as fifty
/// items, and what waits leaves with the turn or with the next batch that is full.
const CROSSING_GAP: Duration = Duration::from_micros(500);

/// Turns that end sooner after a crossing leave together, as long as each makes something: a crossing that finds the
/// runtime asleep costs more than a short turn. First items and endings never wait for that.
const TURNS_TOGETHER: Duration = Duration::from_micros(50);

/// Queued deliveries of one worker, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queued: Vec<Delivery>,
    /// How many of them go through the runtime's dispatcher.
    crossing: usize,
    /// How many of them there were when the last turn ended.
    looked_at: usize,
    /// One of them is a stream's first batch or its ending.
    urgent: bool,
    /// Most deliveries of a turn lately: the next turn's room.
    room: usize,
    /// The loop has been asked for a flush at the turn's end.
    scheduled: bool,
    /// When the worker itself last flushed, and how often it has.
    crossed: Option<Instant>,
    turns: u64,
    /// The worker serves consumers with what it has taken, and has not come back.
    delivering: usize,
    dispatcher: Option<Dispatcher>,
}

impl Outbox {
    /// Queues frames, charged to their stream.
    pub(crate) fn enqueue(&mut self, stream: Arc<StreamState>, batch: Batch) {
        self.urgent |= stream.queue.credit.charge(&batch);
        self.push(stream, Payload::Batch(batch));
    }

    /// Queues an ending behind the frames.
    pub(crate) fn enqueue_ending(&mut self, stream: Arc<StreamState>, ending: Ending) {
        self.urgent = true;
        self.push(stream, Payload::Ending(ending));
    }

    fn push(&mut self, stream: Arc<StreamState>, payload: Payload) {
        if self.queued.is_empty() {
            self.queued.reserve(self.room);
        }
        self.crossing += usize::from(!stream.direct);
        self.queued.push(Delivery { stream, payload });
    }

    /// True when a batch that is full at `now` should not wait for the turn's end.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        !self.crossed_within(CROSSING_GAP, now)
    }

    fn crossed_within(&self, time: Duration, now: Instant) -> bool {
        self.crossed.is_some_and(|crossed| now.saturating_duration_since(crossed) < time)
    }

    /// True when a turn has ended that should leave together with the next one: the worker has only just crossed, and this
    /// turn made something for consumers on the runtime.
    pub(crate) fn waits_for_next_turn(&mut self) -> bool {
        let grew = self.queued.len() > std::mem::replace(&mut self.looked_at, self.queued.len());
        let may_wait = grew && !self.urgent && self.crossing == self.queued.len();
        may_wait && self.crossed_within(TURNS_TOGETHER, Instant::now())
    }

    /// True: something is queued and the loop has not been asked for a flush yet; the caller asks it.
    pub(crate) fn must_schedule(&mut self) -> bool {
        !self.queued.is_empty() && !std::mem::replace(&mut self.scheduled, true)
    }

    /// The loop does what it was asked for.
    pub(crate) fn begin_scheduled(&mut self) {
        self.scheduled = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// How often the worker has flushed.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// Sends what is queued on its way, on the worker. The caller delivers what comes back with nothing locked, since
    /// consumers may run Python on this thread, and then calls [`Self::delivered`].
    pub(crate) fn hand_off(&mut self) -> Option<Handoff> {
        if self.queued.is_empty() {
            return None;
        }
        self.room = self.queued.len();
        self.crossed = Some(Instant::now());
        self.turns += 1;
        let handoff = self.take_all();
        let delivers = !handoff.direct.is_empty() || !handoff.crossing.is_empty();
        self.delivering += usize::from(delivers);
        delivers.then_some(handoff)
    }

    /// The worker has delivered what it took.
    pub(crate) fn delivered(&mut self) {
        self.delivering -= 1;
    }

    /// Delivers what is queued; on any thread but the worker's, while that is busy. Consumers are woken under the lock, so
    /// that nothing which the worker queues and takes meanwhile overtakes; this thread's wakes run no Python.
    pub(crate) fn relieve(&mut self) {
        if self.delivering == 0 && !self.queued.is_empty() {
            self.take_all().deliver_all();
        }
    }

    /// What goes through the dispatcher is sent under the lock, so that a stream's deliveries go in the order they were
    /// queued in, whichever thread sends them.
    fn take_all(&mut self) -> Handoff {
        let queued = std::mem::take(&mut self.queued);
        let crossing = std::mem::take(&mut self.crossing);
        self.looked_at = 0;
        self.urgent = false;
        let (direct, crossing) = if crossing == 0 {
            (queued, Vec::new())
        } else if crossing == queued.len() {
            (Vec::new(), queued)
        } else {
            queued.into_iter().partition(|delivery| delivery.stream.direct)
        };
        let mut handoff = Handoff { direct, crossing, failed: false };
        if self.dispatcher.as_ref().is_none_or(Dispatcher::is_closed) && !handoff.crossing.is_empty() {
            self.dispatcher = dispatcher();
        }
        handoff.send(self.dispatcher.as_ref());
        handoff
    }
}

/// Counts what crosses, for each engine that it is of.
fn count(deliveries: &[Delivery]) {
    for of_one in deliveries.chunk_by(|one, next| Arc::ptr_eq(&one.stream.engine, &next.stream.engine)) {
        let mut batches = Batches::default();
        for delivery in of_one {
            if let Payload::Batch(batch) = &delivery.payload {
                batches.add(batch.frames(), batch.bytes().len());
            }
        }
        of_one[0].stream.engine.metrics.count_crossing(&batches);
    }
}

/// What a loop turn made. What is not delivered, because of a panic on the way, ends its streams.
pub(crate) struct Handoff {
    direct: Vec<Delivery>,
    crossing: Vec<Delivery>,
    failed: bool,
}

impl Handoff {
    fn send(&mut self, dispatcher: Option<&Dispatcher>) {
        let act = || {
            fault::reach(fault::Point::Send);
            count(&self.direct);
            count(&self.crossing);
            if !self.crossing.is_empty()
                && let Some(dispatcher) = dispatcher
                && let Err(failed) = dispatcher.send(std::mem::take(&mut self.crossing))
            {
                self.crossing = failed.0;
            }
        };
        self.failed = catch_unwind(AssertUnwindSafe(act)).is_err();
    }

    /// Serves the consumers that no dispatcher serves. It never panics.
    pub(crate) fn deliver_all(mut self) {
        if !self.failed {
            std::mem::take(&mut self.direct).into_iter().for_each(Delivery::deliver);
            std::mem::take(&mut self.crossing).into_iter().for_each(Delivery::deliver);
        }
    }
}

impl Drop for Handoff {
    fn drop(&mut self) {
        for delivery in std::mem::take(&mut self.direct).into_iter().chain(std::mem::take(&mut self.crossing)) {
            delivery.stream.fail_internally();
        }
    }
}
