//! The driver's output: encodes, seals, enqueues and flushes items, and waits for credit.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::coroutine::Driver;
use super::fairness::{CoopBudget, Pace};
use super::flush_policy::{is_full, leaves_at_each_wait};
use super::py_bytes_owner::PyBytesKeeper;
use crate::base::{fault, log, runtime};
use crate::codec::{EncodeError, Encoder, Format};
use crate::error::py_errors::IntoException;
use crate::state::{Ending, StreamState, write_timeout};
use crate::worker::{Lendable, LoopWorker, Made, SharedWriter};

/// What the driver does after an item.
pub(super) enum ItemOutcome {
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
    pub(super) budget: CoopBudget,
    encoder: Encoder,
    shared: Arc<Lendable<SharedWriter>>,
    /// Used while the shared writer is busy with another stream further up the stack.
    private: Option<Box<SharedWriter>>,
    /// Something was made that the turn's flush may not know of.
    made: bool,
    /// What may be added before credit must be looked at again.
    remaining_items: usize,
    remaining_bytes: usize,
    first: bool,
    watch_idle: bool,
    /// An item went nowhere because the stream had been cancelled.
    pub(super) discarded: bool,
    /// The handler yielded on although it had been asked to stop.
    ignored: bool,
}

impl Output {
    pub(super) fn new(worker: &LoopWorker, stream: &StreamState, encoder: Encoder) -> Self {
        let encoder = if encoder.format() == Format::Raw {
            encoder.with_keep(Box::new(PyBytesKeeper(stream.owner())))
        } else {
            encoder
        };
        Self {
            budget: CoopBudget::new(),
            encoder,
            shared: worker.writer(&stream.engine.pool),
            private: None,
            made: false,
            remaining_items: 0,
            remaining_bytes: 0,
            first: true,
            discarded: false,
            ignored: false,
            watch_idle: stream.options.idle_timeout.is_some(),
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.encoder.traverse(visit)
    }

    /// Encodes one item, unless the stream has been cancelled: then it is dropped.
    #[inline]
    pub(super) fn item(&mut self, driver: &Bound<'_, Driver>, item: &Bound<'_, PyAny>, thrown: bool) -> ItemOutcome {
        let stream = &driver.get().stream;
        if stream.cancel_reason().is_some() {
            return self.discard(item.py(), stream, thrown);
        }
        fault::reach(fault::Point::Encode);
        let Made { charged_bytes, items, bytes } = match self.encode(driver.get(), item) {
            Ok(made) => made,
            Err(error) => return ItemOutcome::Failed(error.into_exception(item.py())),
        };
        if self.first {
            self.first_item(stream);
        }
        if self.watch_idle {
            stream.touch(Instant::now());
        }
        let pace = self.budget.item();
        if pace == Pace::Flush {
            self.flush_now(driver);
        } else if is_full(&stream.engine.flow, items, bytes) {
            self.flush_full(driver);
        }
        if self.remaining_items == 0 || self.remaining_bytes < charged_bytes {
            let Some((items, bytes)) = stream.queue.credit.remaining(items, bytes) else {
                return ItemOutcome::NoCredit;
            };
            self.remaining_items = items;
            self.remaining_bytes = bytes;
        } else {
            self.remaining_items -= 1;
            self.remaining_bytes -= charged_bytes;
        }
        if pace == Pace::Yield { ItemOutcome::Yield } else { ItemOutcome::Next }
    }

    /// The stream is cancelled: its items go nowhere, and the task must soon be where the cancellation can reach it.
    fn discard(&mut self, py: Python<'_>, stream: &StreamState, thrown: bool) -> ItemOutcome {
        self.discarded = true;
        if thrown {
            self.note_ignored(py, stream);
        }
        if stream.queue.has_ended() {
            return ItemOutcome::Detached;
        }
        if thrown && self.budget.item() == Pace::Go { ItemOutcome::Next } else { ItemOutcome::Yield }
    }

    /// Counts a handler that yields instead of ending, and has it logged.
    fn note_ignored(&mut self, py: Python<'_>, stream: &StreamState) {
        if self.count_ignored(stream) && !runtime::is_ending() {
            let text = format!("request {}: the handler yields although its stream was ended", stream.request_id());
            log::notice(py, "stream", &text);
        }
    }

    /// Counts a handler that yields instead of ending. True: it is the first time.
    pub(super) fn count_ignored(&mut self, stream: &StreamState) -> bool {
        let first = !mem::replace(&mut self.ignored, true);
        stream.engine.metrics.close_ignored.fetch_add(first.into(), Ordering::Relaxed);
        first
    }

    fn first_item(&mut self, stream: &StreamState) {
        self.first = false;
        stream.engine.metrics.count_first_item(stream.created.elapsed().as_secs_f64());
    }

    #[inline]
    fn encode(&mut self, driver: &Driver, item: &Bound<'_, PyAny>) -> Result<Made, EncodeError> {
        self.made = true;
        let Self { shared, encoder, .. } = self;
        let made = shared.work(|shared| {
            if shared.has_run_of_another(&driver.stream) {
                driver.worker.get().outbox.enqueue(shared);
            }
            shared.encode(&driver.stream, encoder, item)
        });
        made.unwrap_or_else(|| self.encode_aside(driver, item))
    }

    /// Encodes an item while the shared writer is busy with one of another stream, further up the stack.
    #[cold]
    fn encode_aside(&mut self, driver: &Driver, item: &Bound<'_, PyAny>) -> Result<Made, EncodeError> {
        let stream = &driver.stream;
        let private = self.private.get_or_insert_with(|| Box::new(SharedWriter::new(&stream.engine.pool)));
        let made = private.encode(stream, &mut self.encoder, item)?;
        driver.worker.get().outbox.enqueue(private);
        Ok(Made { items: 0, bytes: 0, ..made })
    }

    /// Queues what was made since the last time.
    fn seal(&mut self, worker: &LoopWorker) {
        if mem::take(&mut self.made) {
            self.shared.work(|shared| worker.outbox.enqueue(shared));
        }
    }

    /// A batch is full: it leaves now, or with the turn if the worker has only just crossed.
    fn flush_full(&mut self, driver: &Bound<'_, Driver>) {
        if driver.get().worker.get().outbox.is_due(self.budget.looked()) {
            self.flush_now(driver);
        } else {
            self.end_step(driver);
        }
    }

    /// The step ends; what it made leaves with the turn, or now.
    pub(super) fn end_step(&mut self, driver: &Bound<'_, Driver>) {
        let this = driver.get();
        if leaves_at_each_wait(&this.stream.engine.flow) {
            self.flush_now(driver);
        } else if mem::take(&mut self.made) {
            let outbox = &this.worker.get().outbox;
            let asked = self.shared.work(|shared| outbox.enqueue_for_turn(shared));
            if asked.unwrap_or_else(|| outbox.must_schedule()) {
                LoopWorker::schedule_flush(this.worker.bind(driver.py()));
            }
        }
    }

    /// What was made leaves at once, with all that other streams have queued.
    fn flush_now(&mut self, driver: &Bound<'_, Driver>) {
        let worker = driver.get().worker.get();
        self.seal(worker);
        worker.flush();
    }

    /// A future that resolves when the consumer has taken enough; `None`: it has already.
    pub(super) fn wait_for_credit<'py>(&mut self, driver: &Bound<'py, Driver>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = driver.py();
        let this = driver.get();
        self.end_step(driver);
        if !this.stream.queue.credit.pause() {
            return Ok(None);
        }
        this.stream.hurry_consumer();
        this.stream.engine.metrics.waits.fetch_add(1, Ordering::Relaxed);
        write_timeout::watch_consumer(&this.stream);
        let future = this.worker.get().create_future(py)?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        this.worker.get().set_credit_waiter(&this.stream, &future);
        Ok(Some(future))
    }

    /// Queues the rest and the ending, and gives back all the stream holds.
    ///
    /// The ending leaves with the turn, as items do: of short streams that run together many end in one.
    pub(super) fn finish(&mut self, driver: &Bound<'_, Driver>, ending: Ending) {
        let this = driver.get();
        let worker = this.worker.get();
        self.seal(worker);
        worker.outbox.enqueue_ending(&this.stream, ending);
        let now = worker.is_alone() || leaves_at_each_wait(&this.stream.engine.flow);
        this.stream.wake_cancel_waiters();
        fault::reach(fault::Point::Finish);
        this.stream.release();
        worker.forget(&this.stream);
        if now {
            worker.flush();
        } else if worker.outbox.must_schedule() {
            LoopWorker::schedule_flush(this.worker.bind(driver.py()));
        }
    }
}
