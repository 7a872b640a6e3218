//! Python-free state of an engine: settings, counters, admission, live streams, life cycle.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use pybridge_pool::Pool;
use pyo3::prelude::*;
use slab::Slab;

use super::admission::Admission;
use super::command::Command;
use super::flow_settings::Flow;
use super::metrics::Metrics;
use super::start_request::StartRequest;
use super::stream_state::StreamState;
use super::wakers::Wakers;
use crate::base::attach_counts::attaches;
use crate::base::deferred_release::Owner;
use crate::base::lock::{Mutex, lock};
use crate::codec::Limits;
use crate::error::{Failure, Reason};

static ENGINES: Mutex<Vec<Weak<EngineState>>> = Mutex::new(Vec::new());

type Act = dyn Fn(&str, &Failure) + Send + Sync;

/// A host's function for failures of handlers: called with the request's id and the failure, on the worker.
#[derive(Clone)]
pub(crate) struct OnFailure(pub(crate) Arc<Act>);

impl OnFailure {
    pub(crate) fn new(act: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}

/// Where an engine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lifecycle {
    /// Takes calls.
    Serving,
    /// Takes no new calls; streams go on.
    Draining,
    /// Takes no new calls; streams have been cancelled.
    Closed,
}

impl Lifecycle {
    /// Whether a call may start. While draining only those may that belong to a request which is being answered.
    pub(crate) fn takes(self, nested: bool) -> bool {
        match self {
            Self::Serving => true,
            Self::Draining => nested,
            Self::Closed => false,
        }
    }
}

/// What the layers above do for an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineHooks {
    /// Starts a stream, on its worker and with the worker's object.
    pub(crate) begin: fn(Python<'_>, &Bound<'_, PyAny>, Box<StartRequest>),
    /// Has the lifespans of the engine with this number left on all workers.
    pub(crate) leave: fn(u64),
}

/// Shared by an engine's streams, on all threads. Holds no Python reference.
#[derive(Debug)]
pub(crate) struct EngineState {
    /// No other engine of the process has or had it.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) flow: Flow,
    pub(crate) limits: Arc<Limits>,
    pub(crate) pool: Pool,
    pub(crate) metrics: Metrics,
    pub(crate) admission: Admission,
    /// Attaches of the process when the engine was made, by thread name.
    pub(crate) attaches_before: HashMap<String, u64>,
    /// What the host has done with failures of its handler; it is set before the first call.
    pub(crate) on_failure: OnceLock<OnFailure>,
    live: Mutex<Slab<Weak<StreamState>>>,
    live_count: AtomicUsize,
    idle_wakers: Mutex<Wakers>,
    /// Lifespans that are being entered, held or left.
    lifespans: AtomicUsize,
    lifecycle: AtomicU8,
    pub(crate) hooks: EngineHooks,
}

impl EngineState {
    pub(crate) fn new(name: String, flow: Flow, limits: Limits, pool: Pool, hooks: EngineHooks) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let engine = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name,
            admission: Admission::new(flow.admission),
            flow,
            limits: Arc::new(limits),
            pool,
            metrics: Metrics::default(),
            attaches_before: attaches(),
            on_failure: OnceLock::new(),
            live: Mutex::default(),
            live_count: AtomicUsize::new(0),
            idle_wakers: Mutex::default(),
            lifespans: AtomicUsize::new(0),
            lifecycle: AtomicU8::new(Lifecycle::Serving as u8),
            hooks,
        });
        let mut engines = lock(&ENGINES);
        engines.retain(|engine| engine.strong_count() > 0);
        engines.push(Arc::downgrade(&engine));
        engine
    }

    pub(crate) fn lifecycle(&self) -> Lifecycle {
        match self.lifecycle.load(Ordering::Acquire) {
            0 => Lifecycle::Serving,
            1 => Lifecycle::Draining,
            _ => Lifecycle::Closed,
        }
    }

    /// Adds a stream to the live ones.
    pub(crate) fn add_live(&self, stream: &Arc<StreamState>) -> usize {
        self.metrics.started.fetch_add(1, Ordering::Relaxed);
        self.live_count.fetch_add(1, Ordering::AcqRel);
        lock(&self.live).insert(Arc::downgrade(stream))
    }

    /// Takes a stream from the live ones; who waited for its place may start.
    pub(crate) fn remove_live(&self, place: usize, stream: &StreamState) {
        lock(&self.live).try_remove(place);
        self.release_place(stream);
        if self.live_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.lifecycle() == Lifecycle::Closed && self.lifespans.load(Ordering::Acquire) > 0 {
                self.leave_lifespans();
            } else {
                self.tell_idle();
            }
        }
    }

    /// Lets the next waiting request have the place that `stream` holds, if it holds one.
    pub(crate) fn release_place(&self, stream: &StreamState) {
        if stream.admitted.load(Ordering::Acquire) {
            self.admission.release(stream).into_iter().for_each(post_start);
        }
    }

    /// Takes a waiting request back; those behind it that have a place now start. False: it is not waiting.
    pub(crate) fn withdraw(&self, stream: &StreamState) -> bool {
        let admitted = self.admission.withdraw(stream);
        let waited = admitted.is_some();
        admitted.into_iter().flatten().for_each(post_start);
        waited
    }

    /// Lets the next waiting request have the place of a permit that is over.
    pub(crate) fn release_permit(&self) {
        self.admission.release_permit().into_iter().for_each(post_start);
    }

    fn tell_idle(&self) {
        let wakers = lock(&self.idle_wakers).take();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A lifespan was entered on some worker; it is over when what comes back is dropped.
    pub(crate) fn enter_lifespan(self: &Arc<Self>) -> LifespanGuard {
        self.lifespans.fetch_add(1, Ordering::AcqRel);
        LifespanGuard(Arc::clone(self))
    }

    fn leave_lifespans(&self) {
        if self.lifespans.load(Ordering::Acquire) > 0 {
            (self.hooks.leave)(self.id);
        }
    }

    /// Streams that are live now.
    pub(crate) fn live(&self) -> Vec<Arc<StreamState>> {
        lock(&self.live).iter().filter_map(|(_, stream)| stream.upgrade()).collect()
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live_count.load(Ordering::Acquire)
    }

    /// True when no stream is live, and once closed no lifespan either; else `waker` is called when that is so.
    pub(crate) fn is_idle_or_wake(&self, waker: Option<&Waker>) -> bool {
        if let Some(waker) = waker {
            lock(&self.idle_wakers).add(waker);
        }
        self.live_count() == 0 && (self.lifecycle() != Lifecycle::Closed || self.lifespans.load(Ordering::Acquire) == 0)
    }

    /// Whoever has this waker waits no more.
    pub(crate) fn forget_idle_waker(&self, waker: &Waker) {
        let removed = lock(&self.idle_wakers).remove(waker);
        drop(removed);
    }

    /// Replaces the guess for a request's memory by what its decoder counted; who waited for the rest may start.
    pub(crate) fn charge_decoded(&self, stream: &StreamState, encoded: usize, decoded: usize) {
        if stream.admitted.load(Ordering::Acquire) {
            self.admission.charge(stream, encoded, decoded).into_iter().for_each(post_start);
        }
    }

    /// Takes no new calls; live streams go on.
    pub(crate) fn drain(&self) {
        let _ = self.lifecycle.compare_exchange(
            Lifecycle::Serving as u8,
            Lifecycle::Draining as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.admission.refuse_permits();
    }

    /// Takes no new calls and cancels what is live; returns how many of those had not been cancelled before.
    pub(crate) fn close(&self) -> usize {
        self.lifecycle.store(Lifecycle::Closed as u8, Ordering::Release);
        let mut cancelled = 0;
        for start in self.admission.drain() {
            cancelled += usize::from(start.stream.cancel(Reason::Shutdown));
            start.stream.finish(super::ending::Ending::cancelled(Reason::Shutdown));
        }
        for stream in self.live() {
            cancelled += usize::from(stream.cancel(Reason::Shutdown));
        }
        if self.live_count() == 0 {
            self.leave_lifespans();
        }
        cancelled
    }
}

impl Drop for EngineState {
    fn drop(&mut self) {
        self.leave_lifespans();
    }
}

/// One entered lifespan of an engine.
pub(crate) struct LifespanGuard(Arc<EngineState>);

impl Drop for LifespanGuard {
    fn drop(&mut self) {
        if self.0.lifespans.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.tell_idle();
        }
    }
}

/// Sends an admitted request to its worker.
pub(crate) fn post_start(start: Box<StartRequest>) {
    let worker = Arc::clone(&start.stream.worker);
    if let Err(Command::Start(start)) = worker.post(Command::Start(start)) {
        start.refuse();
    }
}

/// The live streams of all engines that run on the worker of `owner`, or wait for it.
pub(crate) fn streams_of(owner: &dyn Owner) -> Vec<Arc<StreamState>> {
    let engines = live_engines();
    let live = engines.iter().flat_map(|engine| engine.live());
    live.filter(|stream| std::ptr::addr_eq(Arc::as_ptr(&stream.worker), owner)).collect()
}

/// The pools that engines of the process have, by number.
pub(crate) fn pools_of_engines() -> HashSet<usize> {
    let engines = live_engines();
    engines.iter().map(|engine| engine.pool.id()).collect()
}

/// Closes every engine of the process; returns those that still have live streams.
pub(crate) fn close_all() -> Vec<Arc<EngineState>> {
    let engines = live_engines();
    for engine in &engines {
        engine.close();
    }
    engines.into_iter().filter(|engine| engine.live_count() > 0).collect()
}

/// The request's name of the stream with this number, if it is live.
pub(crate) fn request_of(number: u64) -> Option<String> {
    let engines = live_engines();
    engines.iter().flat_map(|engine| engine.live()).find(|stream| stream.id == number).map(|stream| stream.request_id())
}

/// All engines of the process, oldest first.
pub(crate) fn live_engines() -> Vec<Arc<EngineState>> {
    lock(&ENGINES).iter().filter_map(Weak::upgrade).collect()
}

/// What all engines of the process have to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activity {
    /// Queued and not yet taken, of live streams.
    pub(crate) in_flight_bytes: usize,
    pub(crate) live: usize,
    /// Streams started so far, by the engines that still exist.
    pub(crate) started: u64,
    /// The longest of the engines' pools; `None` without engines.
    pub(crate) idle_timeout: Option<Duration>,
}

/// What all engines of the process have to do now.
pub(crate) fn activity() -> Activity {
    let engines = live_engines();
    let in_flight =
        |engine: &EngineState| -> usize { engine.live().iter().map(|stream| stream.queue.credit.in_flight().0).sum() };
    Activity {
        in_flight_bytes: engines.iter().map(|engine| in_flight(engine)).sum(),
        live: engines.iter().map(|engine| engine.live_count()).sum(),
        started: engines.iter().map(|engine| engine.metrics.started.load(Ordering::Relaxed)).sum(),
        idle_timeout: engines.iter().map(|engine| engine.pool.config().idle_timeout).max(),
    }
}
