//! What all sides of one stream share: identity, queue, cancellation and its one ending.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use pybridge_pool::Batch;
use pyo3::Python;

use super::ending::{Ending, Failure, FailureKind, Reason};
use super::queue::Queue;
use crate::codec::Limits;
use crate::engine::{EngineCore, Life};
use crate::lock::Mutex;
use crate::worker::{Command, Deferred, Mailbox, Port};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

const NO_PLACE: usize = usize::MAX;

/// Metadata that belongs to the trace: W3C baggage.
const BAGGAGE: &str = "baggage";

/// What a caller says about one call. No text may hold control characters.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Name of the request in logs and in `Context.id`; made up when absent.
    pub request_id: Option<String>,
    /// Passed to the handler as `Context.metadata`. Of these only `baggage` goes on to nested calls.
    pub metadata: HashMap<String, String>,
    /// Whole-stream timeout, queueing included.
    pub timeout: Option<Duration>,
    /// Longest time between two items.
    pub idle_timeout: Option<Duration>,
    /// W3C trace context, passed on unread, to nested calls as well.
    pub traceparent: Option<String>,
    /// W3C trace state, passed on unread.
    pub tracestate: Option<String>,
}

impl CallOptions {
    /// A nested call goes on with its parent's trace and baggage unless it names its own.
    pub(crate) fn inherit(&mut self, parent: &Self) {
        if self.traceparent.is_none() {
            self.traceparent.clone_from(&parent.traceparent);
            self.tracestate.clone_from(&parent.tracestate);
        }
        if let Some(baggage) = parent.metadata.get(BAGGAGE)
            && !self.metadata.contains_key(BAGGAGE)
        {
            self.metadata.insert(BAGGAGE.to_owned(), baggage.clone());
        }
    }

    /// Refuses more metadata than the limits allow, and text that would not stay on its line, in a log or a header.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let refused = |class: &str, message: String| Err(Failure::new(FailureKind::InvalidArgument, class, message));
        let entries = self.metadata.len();
        if entries > limits.max_metadata_entries {
            return refused("LimitExceeded", format!("metadata of {entries} entries is over max_metadata_entries"));
        }
        let bytes: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > limits.max_metadata_bytes {
            return refused("LimitExceeded", format!("metadata of {bytes} bytes is over max_metadata_bytes"));
        }
        let metadata = self.metadata.iter().flat_map(|(key, value)| [("metadata", key), ("metadata", value)]);
        let named =
            [("request_id", &self.request_id), ("traceparent", &self.traceparent), ("tracestate", &self.tracestate)];
        let texts = named.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?))).chain(metadata);
        for (field, text) in texts {
            if text.chars().any(char::is_control) {
                return refused("ConfigError", format!("{field}: must not hold control characters"));
            }
        }
        Ok(())
    }
}

/// Shared by driver, consumer, timers and the handler's `Context`.
pub(crate) struct StreamCore {
    pub(crate) id: u64,
    pub(crate) home: Arc<Mailbox>,
    pub(crate) engine: Arc<EngineCore>,
    pub(crate) queue: Queue,
    pub(crate) options: CallOptions,
    pub(crate) created: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) parent: Option<Weak<StreamCore>>,
    /// The consumer lives on the worker's own loop: no hand-over between threads.
    pub(crate) direct: bool,
    /// Place in the worker's table of live tasks.
    pub(crate) slot: AtomicUsize,
    /// Encoded bytes of the request, then what its decoder counted: the share of `max_held_bytes`.
    pub(crate) held: AtomicUsize,
    /// It holds a place of its engine.
    pub(crate) admitted: AtomicBool,
    /// Its place among the engine's live streams, while it has one.
    place: AtomicUsize,
    children: Mutex<Vec<Weak<StreamCore>>>,
    cancel_waiters: Mutex<Vec<Deferred>>,
    timers: Mutex<Vec<tokio::task::AbortHandle>>,
    last_item: AtomicU64,
    cancel: AtomicU8,
    /// When it was asked to stop.
    cancelled_at: OnceLock<Instant>,
    /// Its handler is being closed, and has an ending that waits for that.
    closing: AtomicBool,
    released: AtomicBool,
}

impl StreamCore {
    pub(crate) fn new(
        engine: Arc<EngineCore>,
        home: Arc<Mailbox>,
        options: CallOptions,
        parent: Option<&Arc<StreamCore>>,
        direct: bool,
    ) -> Arc<Self> {
        let created = Instant::now();
        let own = options.timeout.and_then(|timeout| created.checked_add(timeout));
        let inherited = parent.and_then(|parent| parent.deadline);
        let core = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            queue: Queue::new(engine.flow.marks),
            home,
            created,
            deadline: own.into_iter().chain(inherited).min(),
            parent: parent.map(Arc::downgrade),
            direct,
            slot: AtomicUsize::new(usize::MAX),
            held: AtomicUsize::new(0),
            admitted: AtomicBool::new(false),
            place: AtomicUsize::new(NO_PLACE),
            children: Mutex::default(),
            cancel_waiters: Mutex::default(),
            timers: Mutex::default(),
            last_item: AtomicU64::new(0),
            cancel: AtomicU8::new(0),
            cancelled_at: OnceLock::new(),
            closing: AtomicBool::new(false),
            released: AtomicBool::new(false),
            options,
            engine,
        });
        if let Some(parent) = parent {
            parent.adopt(&core);
        }
        core
    }

    /// The name of the request: the caller's, else one made from the stream's number.
    pub(crate) fn request_id(&self) -> String {
        self.options.request_id.clone().unwrap_or_else(|| Self::made_up_name(self.id))
    }

    /// The name of the request of the stream with this number, where the caller gave none.
    pub(crate) fn made_up_name(id: u64) -> String {
        format!("pb-{:x}-{id:x}", std::process::id())
    }

    fn adopt(&self, child: &Arc<Self>) {
        let mut children = lock(&self.children);
        if children.len() == children.capacity() {
            children.retain(|child| child.strong_count() > 0);
        }
        children.push(Arc::downgrade(child));
    }

    /// Enters the engine's list of live streams and starts the timers.
    pub(crate) fn register(self: &Arc<Self>) {
        self.place.store(self.engine.enter(self), Ordering::SeqCst);
        if self.released.load(Ordering::SeqCst) {
            // It ended on another thread before it had this place to give back.
            self.leave_place();
        }
        super::timers::start(self);
        if self.engine.life() == Life::Closed {
            // Closed since the caller looked: the closer may not have seen this stream among the live ones.
            self.cancel(Reason::Shutdown);
        }
    }

    pub(crate) fn add_timer(&self, timer: tokio::task::AbortHandle) {
        if self.released.load(Ordering::Acquire) {
            timer.abort();
        } else {
            lock(&self.timers).push(timer);
        }
    }

    /// Why it was cancelled, if it was.
    pub(crate) fn cancel_reason(&self) -> Option<Reason> {
        Reason::from_code(self.cancel.load(Ordering::Acquire))
    }

    /// Asks the stream to stop. The first reason stands; false: it had one, or it has ended.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) -> bool {
        if self.queue.has_ended()
            || self.cancel.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return false;
        }
        let _ = self.cancelled_at.set(Instant::now());
        let children = std::mem::take(&mut *lock(&self.children));
        for child in children.into_iter().filter_map(|child| child.upgrade()) {
            child.cancel(Reason::Parent);
        }
        if self.engine.admission.withdraw(self) {
            self.finish(Ending::cancelled(reason));
        } else if self.home.post(Command::Cancel(Arc::clone(self))).is_err() {
            self.lose_worker();
        } else {
            super::timers::start_grace(self, Ending::cancelled(reason));
        }
        true
    }

    /// What ends the driver without a request of ours: the asyncio task was cancelled from outside.
    pub(crate) fn note_external(&self) -> Reason {
        let _ = self.cancel.compare_exchange(0, Reason::External as u8, Ordering::AcqRel, Ordering::Acquire);
        self.cancel_reason().unwrap_or(Reason::External)
    }

    /// The consumer has gone: nothing more is delivered.
    pub(crate) fn abandon(self: &Arc<Self>, reason: Reason) {
        if self.queue.abandon() {
            self.resume();
        }
        self.cancel(reason);
    }

    /// Counts what the consumer took, and wakes the driver if it waits for that.
    pub(crate) fn settle(self: &Arc<Self>, (bytes, items): (usize, usize)) {
        if items > 0 && self.queue.credit(bytes, items) {
            self.resume();
        }
    }

    fn resume(self: &Arc<Self>) {
        drop(self.home.post(Command::Resume(Arc::clone(self))));
    }

    /// Delivers frames to the consumer; on the worker or on the runtime's dispatcher.
    pub(crate) fn deliver(&self, batch: Batch) {
        if let Some(waker) = self.queue.push(batch) {
            waker.wake();
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
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the stream after a panic in code of ours that serves it, and stops its handler.
    pub(crate) fn fail_internally(self: &Arc<Self>) {
        self.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        self.finish(Ending::Raised(Box::new(Failure::panicked())));
        drop(self.home.post(Command::Cancel(Arc::clone(self))));
    }

    /// Gives back the place, the budget and the timers; the driver calls this as soon as it is done.
    pub(crate) fn release(self: &Arc<Self>) {
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        for timer in std::mem::take(&mut *lock(&self.timers)) {
            timer.abort();
        }
        self.leave_place();
        self.tell_cancel_waiters();
    }

    fn leave_place(&self) {
        let place = self.place.swap(NO_PLACE, Ordering::SeqCst);
        if place != NO_PLACE {
            self.engine.leave(place, self);
        }
    }

    /// The stream ended without its driver: whoever waits for its cancellation learns that on the worker.
    fn tell_cancel_waiters(&self) {
        let waiters = self.take_cancel_waiters();
        if waiters.is_empty() {
            return;
        }
        let cancelled = self.cancel_reason().is_some();
        drop(self.home.post(Command::CallPort(Box::new(move |py, _port| resolve_all(py, waiters, cancelled)))));
    }

    /// Tells those who wait for its cancellation, on the worker, whether it was cancelled.
    pub(crate) fn resolve_cancel_waiters(&self, py: Python<'_>, cancelled: bool) {
        resolve_all(py, self.take_cancel_waiters(), cancelled);
    }

    /// True once its driver has been made.
    pub(crate) fn has_begun(&self) -> bool {
        self.slot.load(Ordering::Relaxed) != usize::MAX
    }

    /// The driver closes its handler; a cancellation no longer reaches into that.
    pub(super) fn note_closing(&self) {
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

    pub(crate) fn add_cancel_waiters(&self, futures: Vec<Deferred>) {
        lock(&self.cancel_waiters).extend(futures);
    }

    /// All waiters, when they have become so many that those nobody awaits any more should go; else none.
    pub(crate) fn take_crowded_waiters(&self) -> Vec<Deferred> {
        let mut waiters = lock(&self.cancel_waiters);
        let crowded = waiters.len() >= 8 && waiters.len().is_power_of_two();
        if crowded { std::mem::take(&mut *waiters) } else { Vec::new() }
    }

    fn take_cancel_waiters(&self) -> Vec<Deferred> {
        std::mem::take(&mut *lock(&self.cancel_waiters))
    }

    /// Notes that an item was made; the idle timer reads it.
    pub(crate) fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(crate::runtime::epoch());
        self.last_item.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn last_item(&self) -> Instant {
        crate::runtime::epoch() + Duration::from_nanos(self.last_item.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for StreamCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCore")
            .field("id", &self.id)
            .field("cancel", &self.cancel_reason())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> crate::lock::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resolve_all(py: Python<'_>, waiters: Vec<Deferred>, cancelled: bool) {
    for waiter in waiters {
        Port::resolve(py, waiter.get(py).bind(py), cancelled);
    }
}
