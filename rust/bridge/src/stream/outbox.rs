//! Where a worker's drivers park what they made, until the turn's one hand-over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pybridge_pool::Batch;
use tokio::sync::mpsc::UnboundedSender;

use super::core::StreamCore;
use super::ending::Ending;
use crate::fault;
use crate::runtime;

/// Full batches cross at most this often within a turn: a crossing that finds the runtime asleep costs as much as fifty
/// items, and what waits leaves with the turn or with the next batch that is full.
const CROSSING_GAP: Duration = Duration::from_micros(500);

/// Something for the consumer of one stream.
#[derive(Debug)]
pub(crate) struct Delivery {
    core: Arc<StreamCore>,
    parcel: Parcel,
}

#[derive(Debug)]
enum Parcel {
    Batch(Batch),
    Ending(Ending),
}

impl Delivery {
    /// Puts it into the stream's queue and wakes the consumer. A panic on the way ends the stream, and is nobody else's.
    pub(crate) fn hand_over(self) {
        let Self { core, parcel } = self;
        let deliver = || {
            fault::reach(fault::Point::Deliver);
            match parcel {
                Parcel::Batch(batch) => core.deliver(batch),
                Parcel::Ending(ending) => core.deliver_ending(ending),
            }
        };
        if catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            core.fail_internally();
        }
    }
}

/// Parked deliveries of one worker, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    parked: Vec<Delivery>,
    /// Most deliveries of a turn lately: the next turn's room.
    room: usize,
    crossed: Option<Instant>,
    dispatcher: Option<UnboundedSender<Vec<Delivery>>>,
}

impl Outbox {
    /// Parks frames, charged to their stream. True: nothing was parked before, so a hand-over must be scheduled.
    pub(crate) fn park(&mut self, core: &Arc<StreamCore>, batch: Batch) -> bool {
        core.queue.charge(&batch);
        core.engine.metrics.count_batch(batch.frames(), batch.bytes().len());
        self.push(core, Parcel::Batch(batch))
    }

    /// Parks an ending behind the frames.
    pub(crate) fn park_ending(&mut self, core: &Arc<StreamCore>, ending: Ending) -> bool {
        self.push(core, Parcel::Ending(ending))
    }

    fn push(&mut self, core: &Arc<StreamCore>, parcel: Parcel) -> bool {
        let first = self.parked.is_empty();
        if first {
            self.parked.reserve(self.room);
        }
        self.parked.push(Delivery { core: Arc::clone(core), parcel });
        first
    }

    /// True when a batch that is full at `now` should not wait for the turn's end.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.crossed.is_none_or(|crossed| now.saturating_duration_since(crossed) >= CROSSING_GAP)
    }

    /// Takes what is parked; the caller hands it over with no borrow of the outbox held, since consumers are woken.
    pub(crate) fn take(&mut self) -> Turn {
        let parked = std::mem::take(&mut self.parked);
        self.room = parked.len();
        self.crossed = Some(Instant::now());
        if self.dispatcher.as_ref().is_none_or(UnboundedSender::is_closed) && !parked.is_empty() {
            self.dispatcher = runtime::dispatcher();
        }
        Turn { parked, dispatcher: self.dispatcher.clone() }
    }
}

/// All that a loop turn made. What is not handed over, because of a panic on the way, ends its streams.
pub(crate) struct Turn {
    parked: Vec<Delivery>,
    dispatcher: Option<UnboundedSender<Vec<Delivery>>>,
}

impl Turn {
    /// One crossing: consumers on this loop are served here, all others by the runtime's dispatcher. It never panics.
    pub(crate) fn hand_over(self) {
        if !self.parked.is_empty() {
            // The streams of what a panic leaves behind were ended by the drop.
            drop(catch_unwind(AssertUnwindSafe(|| self.cross())));
        }
    }

    fn cross(mut self) {
        fault::reach(fault::Point::Send);
        let mut last = std::ptr::null();
        for delivery in &self.parked {
            let engine = &delivery.core.engine;
            if !std::ptr::eq(Arc::as_ptr(engine), last) {
                last = Arc::as_ptr(engine);
                engine.metrics.crossings.fetch_add(1, Ordering::Relaxed);
            }
        }
        let parked = std::mem::take(&mut self.parked);
        let (direct, crossing): (Vec<_>, Vec<_>) = if parked.iter().any(|delivery| delivery.core.direct) {
            parked.into_iter().partition(|delivery| delivery.core.direct)
        } else {
            (Vec::new(), parked)
        };
        direct.into_iter().for_each(Delivery::hand_over);
        if crossing.is_empty() {
            return;
        }
        match self.dispatcher.take() {
            Some(dispatcher) => {
                if let Err(failed) = dispatcher.send(crossing) {
                    failed.0.into_iter().for_each(Delivery::hand_over);
                }
            }
            None => crossing.into_iter().for_each(Delivery::hand_over),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for delivery in std::mem::take(&mut self.parked) {
            delivery.core.fail_internally();
        }
    }
}
