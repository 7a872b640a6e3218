//! A driver's way out: encode, seal, park, hand over, wait for credit.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::coroutine::Driver;
use super::flush_policy::{Pace, Pacer};
use super::py_bytes_owner::Keeper;
use crate::base::{fault, log, runtime};
use crate::codec::{EncodeError, Encoder, Format};
use crate::error::py_errors::IntoException;
use crate::state::{Ending, Flush, StreamCore, timers};
use crate::worker::{Lendable, Made, Port, SharedWriter};

/// What the driver does after an item.
pub(super) enum Verdict {
    /// Take the next one.
    Next,
    /// Let other tasks run.
    Yield,
    /// Wait until the consumer has taken some.
    NoCredit,
    /// The item could not be encoded.
    Failed(PyErr),
    /// The grace is over and the stream has ended without this handler: close it.
    Detached,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Output {
    pub(super) pacer: Pacer,
    encoder: Encoder,
    shared: Arc<Lendable<SharedWriter>>,
    /// Used while the shared writer is busy with another stream further up the stack.
    private: Option<Box<SharedWriter>>,
    /// Something was made that the turn's hand-over may not know of.
    made: bool,
    /// What may be added before credit must be looked at again.
    spare_items: usize,
    spare_bytes: usize,
    first: bool,
    watch_idle: bool,
    /// An item went nowhere because the stream had been cancelled.
    pub(super) discarded: bool,
    /// The handler yielded on although it had been asked to stop.
    ignored: bool,
}

impl Output {
    pub(super) fn new(port: &Port, core: &StreamCore, encoder: Encoder) -> Self {
        let encoder = match encoder.format() {
            Format::Raw => encoder.with_keep(Box::new(Keeper(core.owner()))),
            Format::Json | Format::Msgpack => encoder,
        };
        Self {
            pacer: Pacer::new(),
            encoder,
            shared: port.writer(&core.engine.pool),
            private: None,
            made: false,
            spare_items: 0,
            spare_bytes: 0,
            first: true,
            discarded: false,
            ignored: false,
            watch_idle: core.options.idle_timeout.is_some(),
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.encoder.traverse(visit)
    }

    /// Encodes one item, unless the stream has been cancelled: then it is dropped.
    #[inline]
    pub(super) fn item(&mut self, driver: &Bound<'_, Driver>, item: &Bound<'_, PyAny>, thrown: bool) -> Verdict {
        let core = &driver.get().core;
        if core.cancel_reason().is_some() {
            return self.discard(item.py(), core, thrown);
        }
        fault::reach(fault::Point::Encode);
        let Made { weight, items, bytes } = match self.encode(driver.get(), item) {
            Ok(made) => made,
            Err(error) => return Verdict::Failed(error.into_exception(item.py())),
        };
        if self.first {
            self.first_item(core);
        }
        if self.watch_idle {
            core.touch(Instant::now());
        }
        let flow = &core.engine.flow;
        let full = items >= flow.batch_items || bytes >= flow.batch_bytes;
        let pace = self.pacer.item();
        if pace == Pace::HandOver {
            self.hand_over(driver);
        } else if full {
            self.leave_full(driver);
        }
        if self.spare_items == 0 || self.spare_bytes < weight {
            let Some((items, bytes)) = core.queue.credit.remaining(items, bytes) else { return Verdict::NoCredit };
            self.spare_items = items;
            self.spare_bytes = bytes;
        } else {
            self.spare_items -= 1;
            self.spare_bytes -= weight;
        }
        if pace == Pace::Yield { Verdict::Yield } else { Verdict::Next }
    }

    /// The stream is cancelled: its items go nowhere, and the task must soon be where the cancellation can reach it.
    fn discard(&mut self, py: Python<'_>, core: &StreamCore, thrown: bool) -> Verdict {
        self.discarded = true;
        if thrown {
            self.note_ignored(py, core);
        }
        if core.queue.has_ended() {
            return Verdict::Detached;
        }
        if thrown && self.pacer.item() == Pace::Go { Verdict::Next } else { Verdict::Yield }
    }

    /// Counts a handler that yields instead of ending, and has it logged.
    fn note_ignored(&mut self, py: Python<'_>, core: &StreamCore) {
        if self.count_ignored(core) && !runtime::is_ending() {
            let text = format!("request {}: the handler yields although its stream was ended", core.request_id());
            log::notice(py, "stream", &text);
        }
    }

    /// Counts a handler that yields instead of ending. True: it is the first time.
    pub(super) fn count_ignored(&mut self, core: &StreamCore) -> bool {
        let first = !mem::replace(&mut self.ignored, true);
        core.engine.metrics.close_ignored.fetch_add(first.into(), Ordering::Relaxed);
        first
    }

    fn first_item(&mut self, core: &StreamCore) {
        self.first = false;
        core.engine.metrics.count_first_item(core.created.elapsed().as_secs_f64());
    }

    #[inline]
    fn encode(&mut self, driver: &Driver, item: &Bound<'_, PyAny>) -> Result<Made, EncodeError> {
        self.made = true;
        let Self { shared, encoder, .. } = self;
        let made = shared.work(|shared| {
            if shared.has_run_of_another(&driver.core) {
                driver.port.get().handoff.park(shared);
            }
            shared.encode(&driver.core, encoder, item)
        });
        made.unwrap_or_else(|| self.encode_aside(driver, item))
    }

    /// Encodes an item while the shared writer is busy with one of another stream, further up the stack.
    #[cold]
    fn encode_aside(&mut self, driver: &Driver, item: &Bound<'_, PyAny>) -> Result<Made, EncodeError> {
        let core = &driver.core;
        let private = self.private.get_or_insert_with(|| Box::new(SharedWriter::new(&core.engine.pool)));
        let made = private.encode(core, &mut self.encoder, item)?;
        driver.port.get().handoff.park(private);
        Ok(Made { items: 0, bytes: 0, ..made })
    }

    /// Parks what was made since the last time.
    fn seal(&mut self, port: &Port) {
        if mem::take(&mut self.made) {
            self.shared.work(|shared| port.handoff.park(shared));
        }
    }

    /// A batch is full: it leaves now, or with the turn if the worker has only just crossed.
    fn leave_full(&mut self, driver: &Bound<'_, Driver>) {
        if driver.get().port.get().handoff.is_due(self.pacer.looked()) {
            self.hand_over(driver);
        } else {
            self.leave_step(driver);
        }
    }

    /// The step ends; what it made leaves with the turn, or now.
    pub(super) fn leave_step(&mut self, driver: &Bound<'_, Driver>) {
        let this = driver.get();
        if this.core.engine.flow.flush == Flush::Suspend {
            self.hand_over(driver);
        } else if mem::take(&mut self.made) {
            let handoff = &this.port.get().handoff;
            let asked = self.shared.work(|shared| handoff.park_for_turn(shared));
            if asked.unwrap_or_else(|| handoff.must_schedule()) {
                Port::schedule_hand_over(this.port.bind(driver.py()));
            }
        }
    }

    /// What was made leaves at once, with all that other streams have parked.
    fn hand_over(&mut self, driver: &Bound<'_, Driver>) {
        let port = driver.get().port.get();
        self.seal(port);
        port.hand_over();
    }

    /// A future that resolves when the consumer has taken enough; `None`: it has already.
    pub(super) fn wait_for_credit<'py>(&mut self, driver: &Bound<'py, Driver>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = driver.py();
        let this = driver.get();
        self.leave_step(driver);
        if !this.core.queue.credit.pause() {
            return Ok(None);
        }
        this.core.hurry_consumer();
        this.core.engine.metrics.waits.fetch_add(1, Ordering::Relaxed);
        timers::start_pause(&this.core);
        let future = this.port.get().create_future(py)?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        this.port.get().set_credit_waiter(&this.core, &future);
        Ok(Some(future))
    }

    /// Hands over the rest and the ending, and gives back all the stream holds.
    ///
    /// The ending leaves with the turn, as items do: of short streams that run together many end in one.
    pub(super) fn finish(&mut self, driver: &Bound<'_, Driver>, ending: Ending) {
        let this = driver.get();
        let port = this.port.get();
        self.seal(port);
        port.handoff.park_ending(&this.core, ending);
        let now = port.is_alone() || this.core.engine.flow.flush == Flush::Suspend;
        this.core.wake_cancel_waiters();
        fault::reach(fault::Point::Finish);
        this.core.release();
        port.forget(&this.core);
        if now {
            port.hand_over();
        } else if port.handoff.must_schedule() {
            Port::schedule_hand_over(this.port.bind(driver.py()));
        }
    }
}
