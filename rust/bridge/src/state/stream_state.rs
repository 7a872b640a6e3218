//! The state that all sides of one stream share: identity, queue, cancellation and its one ending.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use pybridge_pool::Batch;

use super::call_options::CallOptions;
use super::command::{Command, CommandSink};
use super::ending::Ending;
use super::engine_state::{EngineState, Lifecycle};
use super::queue::Queue;
use super::wakers::Wakers;
use crate::base::deferred_release::Owner;
use crate::base::lock::{Mutex, lock};
use crate::base::runtime;
use crate::error::{Failure, FailureKind, Reason};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

const NO_PLACE: usize = usize::MAX;

/// Who takes a stream's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerKind {
    /// Python code, which gets the handler's exceptions as well.
    Python,
    /// A server on an event loop: what a client is told is all that it has of an exception.
    Server,
    /// A task of tokio.
    Rust,
}

/// Shared by driver, consumer, timers and the handler's `Context`.
pub(crate) struct StreamState {
    pub(crate) id: u64,
    pub(crate) worker: Arc<dyn CommandSink>,
    pub(crate) engine: Arc<EngineState>,
    pub(crate) queue: Queue,
    pub(crate) options: CallOptions,
    pub(crate) created: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) parent: Option<Weak<StreamState>>,
    /// Its consumer waits on an event loop; the worker wakes it, not the runtime's dispatcher.
    pub(crate) direct: bool,
    /// Its consumer raises the handler's own exception, so nobody else tells of it.
    pub(crate) raises: bool,
    /// Place in the worker's table of live tasks.
    pub(crate) slot: AtomicUsize,
    /// Encoded bytes of the request, then what its decoder counted: the share of `max_held_bytes`.
    pub(crate) held: AtomicUsize,
    /// It holds a place of its engine.
    pub(crate) admitted: AtomicBool,
    /// Its number in the queue of its engine's waiting calls; 0: it was never in it.
    pub(crate) ticket: AtomicU64,
    /// Its place among the engine's live streams, while it has one.
    place: AtomicUsize,
    pub(super) children: Mutex<Vec<Weak<StreamState>>>,
    pub(super) cancel_waiters: Mutex<Wakers>,
    timers: Mutex<Vec<tokio::task::AbortHandle>>,
    /// A timer looks at how long the producer waits for credit.
    pub(crate) pause_watched: AtomicBool,
    last_item: AtomicU64,
    cancel: AtomicU8,
    /// The code of why it is cancelled when a Rust consumer drops it.
    pub(crate) drop_reason: AtomicU8,
    /// When it was asked to stop.
    cancelled_at: OnceLock<Instant>,
    /// Its handler is being closed, and has an ending that waits for that.
    closing: AtomicBool,
    released: AtomicBool,
    #[cfg(feature = "tracing")]
    pub(crate) span: super::call_span::CallSpan,
}

impl StreamState {
    pub(crate) fn new(
        engine: Arc<EngineState>,
        worker: Arc<dyn CommandSink>,
        options: CallOptions,
        parent: Option<&Arc<StreamState>>,
        consumer: ConsumerKind,
    ) -> Arc<Self> {
        let created = Instant::now();
        let own = options.timeout.and_then(|timeout| created.checked_add(timeout));
        let inherited = parent.and_then(|parent| parent.deadline);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        let span = super::call_span::CallSpan::new(&engine, id, &options, parent);
        let stream = Arc::new(Self {
            id,
            queue: Queue::new(engine.flow.watermarks),
            worker,
            created,
            deadline: own.into_iter().chain(inherited).min(),
            parent: parent.map(Arc::downgrade),
            direct: consumer != ConsumerKind::Rust,
            raises: consumer == ConsumerKind::Python,
            slot: AtomicUsize::new(usize::MAX),
            held: AtomicUsize::new(0),
            admitted: AtomicBool::new(false),
            ticket: AtomicU64::new(0),
            place: AtomicUsize::new(NO_PLACE),
            children: Mutex::default(),
            cancel_waiters: Mutex::default(),
            timers: Mutex::default(),
            pause_watched: AtomicBool::new(false),
            last_item: AtomicU64::new(0),
            cancel: AtomicU8::new(0),
            drop_reason: AtomicU8::new(Reason::Caller as u8),
            cancelled_at: OnceLock::new(),
            closing: AtomicBool::new(false),
            released: AtomicBool::new(false),
            #[cfg(feature = "tracing")]
            span,
            options,
            engine,
        });
        if parent.is_some_and(|parent| !parent.adopt(&stream)) {
            stream.note_cancel(Reason::Parent);
        }
        stream
    }

    /// The thread that may drop the references of its handler.
    pub(crate) fn owner(&self) -> Arc<dyn Owner> {
        Arc::<dyn CommandSink>::clone(&self.worker)
    }

    /// The name of the request: the caller's, else one made from the stream's number.
    pub(crate) fn request_id(&self) -> String {
        self.options.request_id.clone().unwrap_or_else(|| Self::made_up_name(self.id))
    }

    /// The name of a stream with this number, where the caller gave none.
    pub(crate) fn made_up_name(id: u64) -> String {
        // A process that has made streams makes none in a child that it forks.
        static PREFIX: OnceLock<String> = OnceLock::new();
        let prefix = PREFIX.get_or_init(|| format!("pb-{:x}-", std::process::id()));
        let mut name = String::with_capacity(prefix.len() + 16);
        name.push_str(prefix);
        // Every call gets one: formatting by the standard library takes ten times as long.
        let digits = (u64::BITS - id.leading_zeros()).div_ceil(4).max(1);
        let digit = |index| char::from(b"0123456789abcdef"[(id >> (4 * index)) as usize & 0xf]);
        name.extend((0..digits).rev().map(digit));
        name
    }

    /// Sets why it is cancelled, and when; false: it had a reason.
    fn note_cancel(&self, reason: Reason) -> bool {
        let had_none = self.cancel.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire).is_ok();
        had_none && self.cancelled_at.set(Instant::now()).is_ok()
    }

    /// Enters the engine's list of live streams and starts the timers.
    pub(crate) fn register(self: &Arc<Self>) {
        self.place.store(self.engine.add_live(self), Ordering::SeqCst);
        if self.released.load(Ordering::SeqCst) {
            // It ended on another thread before it had this place to give back.
            self.leave_place();
        }
        super::call_timeouts::start(self);
        if self.engine.lifecycle() == Lifecycle::Closed {
            // Closed since the caller looked: the closer may not have seen this stream among the live ones.
            self.cancel(Reason::Shutdown);
        }
    }

    /// Runs a timer on the runtime, where it fires even while the event loop is stuck, until it is done or the stream has
    /// ended.
    pub(super) fn spawn_timer<F>(self: &Arc<Self>, timer: impl FnOnce(Weak<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(runtime) = runtime::handle() else { return };
        let timer = runtime.spawn(timer(Arc::downgrade(self))).abort_handle();
        if self.released.load(Ordering::Acquire) {
            timer.abort();
        } else {
            let mut timers = lock(&self.timers);
            timers.retain(|timer| !timer.is_finished());
            timers.push(timer);
        }
    }

    /// Why it was cancelled, if it was.
    pub(crate) fn cancel_reason(&self) -> Option<Reason> {
        Reason::from_code(self.cancel.load(Ordering::Acquire))
    }

    /// Asks the stream to stop. The first reason stands; false: it had one, or it has ended.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) -> bool {
        if self.queue.has_ended() || !self.note_cancel(reason) {
            return false;
        }
        self.cancel_children();
        if self.engine.withdraw(self) {
            self.finish(Ending::cancelled(reason));
        } else if self.worker.post(Command::Cancel(Arc::clone(self))).is_err() {
            self.lose_worker();
        } else {
            super::cancel_grace::start_grace(self, Ending::cancelled(reason));
        }
        true
    }

    /// What ends the driver without a request of ours: the asyncio task was cancelled from outside.
    pub(crate) fn note_external(&self) -> Reason {
        if self.note_cancel(Reason::External) {
            self.cancel_children();
        }
        self.cancel_reason().unwrap_or(Reason::External)
    }

    /// The consumer has gone: nothing more is delivered.
    pub(crate) fn abandon(self: &Arc<Self>, reason: Reason) {
        if let Some(reader) = self.queue.abandon(|| self.resume()) {
            self.wake(reader);
        }
        self.cancel(reason);
    }

    /// Counts what the consumer took, and wakes the driver if it waits for that.
    pub(crate) fn return_credit(self: &Arc<Self>, (bytes, items): (usize, usize)) {
        if items > 0 {
            self.queue.credit.restore(bytes, items, || self.resume());
        }
    }

    fn resume(self: &Arc<Self>) {
        self.restart_idle();
        drop(self.worker.post(Command::Resume(Arc::clone(self))));
    }

    /// Delivers frames to the consumer; on the worker or on the runtime's dispatcher.
    pub(crate) fn deliver(self: &Arc<Self>, batch: Batch) {
        if let Some(reader) = self.queue.push(batch, || self.resume()) {
            self.wake(reader);
        }
    }

    /// The driver waits for credit: a consumer that has time takes what there is.
    pub(crate) fn hurry_consumer(&self) {
        if let Some(reader) = self.queue.take_patient_reader() {
            self.wake(reader);
        }
    }

    /// Wakes a consumer. What its waker does is foreign code: a panic there is counted and stops nothing of ours.
    fn wake(&self, consumer: Waker) {
        if catch_unwind(AssertUnwindSafe(|| consumer.wake())).is_err() {
            self.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the stream for its consumer, after what was delivered, and gives back all it holds. Only the first ending counts.
    pub(crate) fn finish(self: &Arc<Self>, ending: Ending) {
        self.release();
        self.deliver_ending(ending);
    }

    /// Ends the stream for its consumer, after what was delivered.
    pub(crate) fn deliver_ending(&self, ending: Ending) {
        let counted = ending.clone();
        let Some(wakers) = self.queue.end(ending) else { return };
        self.engine.metrics.count_ending(&counted);
        if let Some(asked) = self.cancelled_at.get() {
            self.engine.metrics.count_cancel(asked.elapsed().as_secs_f64());
        }
        #[cfg(feature = "tracing")]
        if !self.span.end(&counted, self.queue.credit.charged()) {
            self.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        }
        for waker in wakers {
            self.wake(waker);
        }
    }

    /// Ends the stream after a panic in code of ours that serves it, and stops its handler.
    pub(crate) fn fail_internally(self: &Arc<Self>) {
        self.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        self.finish(Ending::Raised(Box::new(Failure::panicked())));
        drop(self.worker.post(Command::Cancel(Arc::clone(self))));
    }

    /// Gives back the place, the budget and the timers; the driver calls this as soon as it is done.
    pub(crate) fn release(self: &Arc<Self>) {
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        let timers = std::mem::take(&mut *lock(&self.timers));
        for timer in timers {
            timer.abort();
        }
        self.leave_place();
        self.tell_cancel_waiters();
    }

    fn leave_place(&self) {
        let place = self.place.swap(NO_PLACE, Ordering::SeqCst);
        if place != NO_PLACE {
            self.engine.remove_live(place, self);
        }
    }

    /// True once its driver has been made.
    pub(crate) fn has_begun(&self) -> bool {
        self.slot.load(Ordering::Relaxed) != usize::MAX
    }

    /// The driver closes its handler; a cancellation no longer reaches into that.
    pub(crate) fn note_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// True while, and after, the driver closes its handler. On the worker only.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// True once the driver has given everything back.
    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// The worker is gone: nobody is left to end this stream.
    pub(crate) fn lose_worker(self: &Arc<Self>) {
        let reason = self.note_external();
        self.finish(Ending::cancelled(reason));
    }

    /// Ends a stream that could not be started.
    pub(crate) fn refuse(self: &Arc<Self>, kind: FailureKind, class: &str, message: &str) {
        self.finish(Ending::Raised(Box::new(Failure::new(kind, class, message))));
    }

    /// Lets the handler have the whole idle timeout again: it could not make an item until now.
    pub(crate) fn restart_idle(&self) {
        if self.options.idle_timeout.is_some() {
            self.touch(Instant::now());
        }
    }

    /// Notes that an item was made; the idle timer reads it.
    pub(crate) fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(runtime::epoch());
        self.last_item.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn last_item(&self) -> Instant {
        runtime::epoch() + Duration::from_nanos(self.last_item.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamState")
            .field("id", &self.id)
            .field("cancel", &self.cancel_reason())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_holds_process_and_number_in_hexadecimal() {
        for id in [0, 1, 0xf, 0x10, 0xabc, u64::MAX] {
            assert_eq!(StreamState::made_up_name(id), format!("pb-{:x}-{id:x}", std::process::id()));
        }
    }
}
