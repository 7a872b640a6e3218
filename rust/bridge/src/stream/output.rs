//! A driver's way out: encode, seal, park, hand over, wait for credit.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pybridge_pool::{Pool, Writer};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::core::StreamCore;
use super::driver::Driver;
use super::ending::Ending;
use super::kept::Keeper;
use super::pace::{Pace, Pacer};
use super::queue::FRAME_OVERHEAD;
use super::start::StartRequest;
use super::timers;
use crate::codec::{Encoder, Format};
use crate::engine::{Flush, PyCodec, PyEngine};
use crate::error::EncodeError;
use crate::worker::{Here, Port, ThreadCell};
use crate::{fault, log, runtime};

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

/// The writer that all drivers of a worker share for one pool.
#[derive(Debug)]
pub(crate) struct SharedWriter {
    writer: Writer,
    /// The stream whose committed frames are not yet sealed; 0: none.
    run_of: u64,
}

impl SharedWriter {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self { writer: pool.writer(), run_of: 0 }
    }

    /// A writer that no other stream uses.
    fn for_stream(core: &StreamCore) -> Self {
        let mut alone = Self::new(&core.engine.pool);
        alone.writer.set_stream(core.id);
        alone
    }

    /// The pool, when frames that wait somewhere hold more segments than its bound allows.
    pub(crate) fn over_pinned(&self) -> Option<Pool> {
        let pool = self.writer.pool();
        pool.over_pinned().then(|| pool.clone())
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Output {
    pub(super) pacer: Pacer,
    encoder: Encoder,
    shared: Arc<ThreadCell<SharedWriter>>,
    /// Used while the shared writer is busy with another stream further up the stack.
    private: Option<Box<SharedWriter>>,
    in_private: bool,
    items: usize,
    bytes: usize,
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
    pub(super) fn new(py: Python<'_>, port: &Port, start: &StartRequest, engine: &PyEngine) -> PyResult<Self> {
        let codec = match &start.codec {
            Some(codec) => codec.get(py).bind(py).cast::<PyCodec>()?.get(),
            None => engine.codec.get(),
        };
        let mut encoder = codec.encoder(py, start.framing, Arc::clone(&engine.core.limits));
        if codec.spec.format == Format::Raw {
            encoder = encoder.with_keep(Box::new(Keeper(Arc::clone(&start.core.home))));
        }
        Ok(Self {
            pacer: Pacer::new(),
            encoder,
            shared: port.writer(&engine.core.pool),
            private: None,
            in_private: false,
            items: 0,
            bytes: 0,
            spare_items: 0,
            spare_bytes: 0,
            first: true,
            discarded: false,
            ignored: false,
            watch_idle: start.core.options.idle_timeout.is_some(),
        })
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.encoder.traverse(visit)
    }

    /// Encodes one item, unless the stream has been cancelled: then it is dropped.
    #[inline]
    pub(super) fn item(
        &mut self,
        driver: &Bound<'_, Driver>,
        here: Here,
        item: &Bound<'_, PyAny>,
        thrown: bool,
    ) -> Verdict {
        let core = &driver.get().core;
        if core.cancel_reason().is_some() {
            return self.discard(item.py(), core, thrown);
        }
        fault::reach(fault::Point::Encode);
        let length = match self.encode(core, here, item) {
            Ok(length) => length,
            Err(error) => return Verdict::Failed(error.into_py(item.py())),
        };
        let weight = length + FRAME_OVERHEAD;
        self.items += 1;
        self.bytes += weight;
        if self.first {
            self.first_item(core);
        }
        if self.watch_idle {
            core.touch(Instant::now());
        }
        let flow = &core.engine.flow;
        let full = self.items >= flow.batch_items || self.bytes >= flow.batch_bytes;
        let pace = self.pacer.item();
        if pace == Pace::HandOver {
            self.hand_over(driver);
        } else if full {
            self.leave_full(driver);
        }
        if self.spare_items == 0 || self.spare_bytes < weight {
            let Some((items, bytes)) = core.queue.spare(self.items, self.bytes) else { return Verdict::NoCredit };
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
    fn encode(&mut self, core: &StreamCore, here: Here, item: &Bound<'_, PyAny>) -> Result<usize, EncodeError> {
        if !self.in_private
            && let Some(mut shared) = self.shared.borrow_here(here)
            && (shared.run_of == 0 || shared.run_of == core.id)
        {
            if shared.run_of == 0 {
                shared.writer.set_stream(core.id);
            }
            let length = self.encoder.encode(item, &mut shared.writer)?;
            shared.run_of = core.id;
            return Ok(length);
        }
        self.in_private = true;
        let private = self.private.get_or_insert_with(|| Box::new(SharedWriter::for_stream(core)));
        self.encoder.encode(item, &mut private.writer)
    }

    /// Parks what was made since the last time. True: a hand-over must be scheduled.
    fn seal(&mut self, port: &Port, core: &Arc<StreamCore>) -> bool {
        if self.items == 0 {
            return false;
        }
        self.items = 0;
        self.bytes = 0;
        let Some(mut outbox) = port.outbox() else { return false };
        let mut first = false;
        if self.in_private {
            self.in_private = false;
            if let Some(private) = &mut self.private {
                private.writer.seal(|batch| first |= outbox.park(core, batch));
            }
        } else if let Some(mut shared) = self.shared.borrow() {
            shared.run_of = 0;
            shared.writer.seal(|batch| first |= outbox.park(core, batch));
        }
        first
    }

    /// A batch is full: it leaves now, or with the turn if the worker has only just crossed.
    fn leave_full(&mut self, driver: &Bound<'_, Driver>) {
        let due = driver.get().port.get().outbox().is_none_or(|outbox| outbox.is_due(self.pacer.looked()));
        if due {
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
        } else if self.seal(this.port.get(), &this.core) {
            Port::schedule_hand_over(this.port.bind(driver.py()));
        }
    }

    /// What was made leaves at once, with all that other streams have parked.
    fn hand_over(&mut self, driver: &Bound<'_, Driver>) {
        let this = driver.get();
        self.seal(this.port.get(), &this.core);
        this.port.get().hand_over();
    }

    /// A future that resolves when the consumer has taken enough; `None`: it has already.
    pub(super) fn wait_for_credit<'py>(&mut self, driver: &Bound<'py, Driver>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = driver.py();
        let this = driver.get();
        self.leave_step(driver);
        if !this.core.queue.pause() {
            return Ok(None);
        }
        this.core.engine.metrics.waits.fetch_add(1, Ordering::Relaxed);
        timers::start_pause(&this.core);
        let future = this.port.get().create_future(py)?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        this.port.get().set_credit_waiter(&this.core, &future);
        Ok(Some(future))
    }

    /// Hands over the rest and the ending, and gives back all the stream holds.
    pub(super) fn finish(&mut self, driver: &Bound<'_, Driver>, ending: Ending) {
        let this = driver.get();
        let port = this.port.get();
        self.seal(port, &this.core);
        let unparked = match port.outbox() {
            Some(mut outbox) => {
                outbox.park_ending(&this.core, ending);
                None
            }
            None => Some(ending),
        };
        this.core.wake_cancel_waiters();
        fault::reach(fault::Point::Finish);
        this.core.release();
        if let Some(ending) = unparked {
            this.core.deliver_ending(ending);
        }
        port.forget(&this.core);
        port.hand_over();
    }

    /// After a panic in the encoder: takes the open frame back.
    pub(super) fn rewind(&mut self) {
        if let Some(mut shared) = self.shared.borrow() {
            shared.writer.abort();
        }
        if let Some(private) = &mut self.private {
            private.writer.abort();
        }
    }
}
