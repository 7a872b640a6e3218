//! The frames of all of a worker's drivers that leave together at the end of a turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pybridge_pool::Batch;

use super::dispatcher::{Delivery, Dispatcher, Parcel, dispatcher};
use super::ending::Ending;
use super::metrics::Batches;
use super::stream_state::StreamCore;
use crate::base::fault;

/// Full batches cross at most this often within a turn: a crossing that finds the runtime asleep costs as much as fifty
/// items, and what waits leaves with the turn or with the next batch that is full.
const CROSSING_GAP: Duration = Duration::from_micros(500);

/// Turns that end sooner after a crossing leave together, as long as each makes something: a crossing that finds the
/// runtime asleep costs more than a short turn. First items and endings never wait for that.
const TURNS_TOGETHER: Duration = Duration::from_micros(50);

/// Parked deliveries of one worker, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    parked: Vec<Delivery>,
    /// How many of them go through the runtime's dispatcher.
    crossing: usize,
    /// How many of them there were when the last turn ended.
    looked_at: usize,
    /// One of them is a stream's first batch or its ending.
    urgent: bool,
    /// Most deliveries of a turn lately: the next turn's room.
    room: usize,
    /// The loop has been asked for a hand-over at the turn's end.
    scheduled: bool,
    /// When the worker itself last handed over, and how often it has.
    crossed: Option<Instant>,
    turns: u64,
    /// The worker serves consumers with what it has taken, and has not come back.
    delivering: usize,
    dispatcher: Option<Dispatcher>,
}

impl Outbox {
    /// Parks frames, charged to their stream.
    pub(crate) fn park(&mut self, core: Arc<StreamCore>, batch: Batch) {
        self.urgent |= core.queue.credit.charge(&batch);
        self.push(core, Parcel::Batch(batch));
    }

    /// Parks an ending behind the frames.
    pub(crate) fn park_ending(&mut self, core: Arc<StreamCore>, ending: Ending) {
        self.urgent = true;
        self.push(core, Parcel::Ending(ending));
    }

    fn push(&mut self, core: Arc<StreamCore>, parcel: Parcel) {
        if self.parked.is_empty() {
            self.parked.reserve(self.room);
        }
        self.crossing += usize::from(!core.direct);
        self.parked.push(Delivery { core, parcel });
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
        let grew = self.parked.len() > std::mem::replace(&mut self.looked_at, self.parked.len());
        let may_wait = grew && !self.urgent && self.crossing == self.parked.len();
        may_wait && self.crossed_within(TURNS_TOGETHER, Instant::now())
    }

    /// True: something is parked and the loop has not been asked for a hand-over yet; the caller asks it.
    pub(crate) fn must_schedule(&mut self) -> bool {
        !self.parked.is_empty() && !std::mem::replace(&mut self.scheduled, true)
    }

    /// The loop does what it was asked for.
    pub(crate) fn begin_scheduled(&mut self) {
        self.scheduled = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// How often the worker has handed over.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// Sends what is parked on its way, on the worker. The caller delivers what comes back with nothing locked, since
    /// consumers may run Python on this thread, and then calls [`Self::delivered`].
    pub(crate) fn hand_over(&mut self) -> Option<Turn> {
        if self.parked.is_empty() {
            return None;
        }
        self.room = self.parked.len();
        self.crossed = Some(Instant::now());
        self.turns += 1;
        let turn = self.send();
        let delivers = !turn.direct.is_empty() || !turn.crossing.is_empty();
        self.delivering += usize::from(delivers);
        delivers.then_some(turn)
    }

    /// The worker has delivered what it took.
    pub(crate) fn delivered(&mut self) {
        self.delivering -= 1;
    }

    /// Hands over what is parked; on any thread but the worker's, while that is busy. Consumers are woken under the lock, so
    /// that nothing which the worker parks and takes meanwhile overtakes; this thread's wakes run no Python.
    pub(crate) fn relieve(&mut self) {
        if self.delivering == 0 && !self.parked.is_empty() {
            self.send().deliver();
        }
    }

    /// What goes through the dispatcher is sent under the lock, so that a stream's deliveries go in the order they were
    /// parked in, whichever thread sends them.
    fn send(&mut self) -> Turn {
        let parked = std::mem::take(&mut self.parked);
        let crossing = std::mem::take(&mut self.crossing);
        self.looked_at = 0;
        self.urgent = false;
        let (direct, crossing) = if crossing == 0 {
            (parked, Vec::new())
        } else if crossing == parked.len() {
            (Vec::new(), parked)
        } else {
            parked.into_iter().partition(|delivery| delivery.core.direct)
        };
        let mut turn = Turn { direct, crossing, failed: false };
        if self.dispatcher.as_ref().is_none_or(Dispatcher::is_closed) && !turn.crossing.is_empty() {
            self.dispatcher = dispatcher();
        }
        turn.send(self.dispatcher.as_ref());
        turn
    }
}

/// Counts what crosses, for each engine that it is of.
fn count(deliveries: &[Delivery]) {
    for of_one in deliveries.chunk_by(|one, next| Arc::ptr_eq(&one.core.engine, &next.core.engine)) {
        let mut batches = Batches::default();
        for delivery in of_one {
            if let Parcel::Batch(batch) = &delivery.parcel {
                batches.add(batch.frames(), batch.bytes().len());
            }
        }
        of_one[0].core.engine.metrics.count_crossing(&batches);
    }
}

/// What a loop turn made. What is not handed over, because of a panic on the way, ends its streams.
pub(crate) struct Turn {
    direct: Vec<Delivery>,
    crossing: Vec<Delivery>,
    failed: bool,
}

impl Turn {
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
    pub(crate) fn deliver(mut self) {
        if !self.failed {
            std::mem::take(&mut self.direct).into_iter().for_each(Delivery::hand_over);
            std::mem::take(&mut self.crossing).into_iter().for_each(Delivery::hand_over);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for delivery in std::mem::take(&mut self.direct).into_iter().chain(std::mem::take(&mut self.crossing)) {
            delivery.core.fail_internally();
        }
    }
}
