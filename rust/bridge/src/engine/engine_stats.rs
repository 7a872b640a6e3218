//! Snapshots of an engine's counters, taken without the interpreter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pybridge_pool::PoolStats;

use crate::base::attach_counts::attaches;
use crate::base::deferred_release;
use crate::error::Reason;
use crate::state::{BATCH_ITEMS, Bounds, EngineState, Ranges, SECONDS};
use crate::worker::{self, WorkerStats};

/// Streams of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Calls whose stream was started.
    pub started: u64,
    /// Streams that have no ending yet.
    pub live: usize,
    /// Streams whose handler ran out.
    pub finished: u64,
    /// Streams whose handler raised, or whose item could not be encoded.
    pub raised: u64,
    /// Streams cancelled, by reason; every reason has its entry.
    pub cancelled: BTreeMap<Reason, u64>,
    /// Calls that wait for a place.
    pub queued: usize,
    /// Calls that became no stream: there was no place, or the engine was closed. Counted as nothing else.
    pub refused: u64,
    /// Handlers that yielded while they were closed.
    pub close_ignored: u64,
    /// Handlers that were left to themselves because their cleanup outlasted `cancel_grace`.
    pub close_timeout: u64,
    /// Handlers that raised while they were cancelled or closed.
    pub close_error: u64,
}

/// Items between handlers and consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowStats {
    /// Bytes queued and not yet taken.
    pub in_flight_bytes: usize,
    /// Times that a handler waited at its `yield` for its consumer.
    pub waits: u64,
    /// Streams cancelled because their consumer did not take items in time.
    pub slow_consumers: u64,
    /// Bytes of decoded requests that running handlers hold.
    pub decoded_bytes: usize,
}

/// How many values fell into which range.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds of the ranges, included, in growing order; the last is infinite.
    pub bounds: Vec<f64>,
    /// Values in each range.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub total: f64,
}

impl Histogram {
    fn of(bounds: &Bounds, ranges: &Ranges) -> Self {
        let (counts, total) = ranges.read();
        Self { bounds: bounds.to_vec(), counts: counts.to_vec(), total }
    }
}

/// One engine; counters run since it was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineStats {
    /// Streams by state and ending.
    pub streams: StreamStats,
    /// Items encoded.
    pub frames: u64,
    /// Bytes of those items.
    pub bytes: u64,
    /// Hand-overs between Python threads and the runtime.
    pub crossings: u64,
    /// Times that a thread attached to the interpreter, by the thread's name; a loop of a Python caller has no entry.
    pub attaches: BTreeMap<String, u64>,
    /// Times that Rust woke an event loop.
    pub wakeups: u64,
    /// Threads that run handlers.
    pub workers: Vec<WorkerStats>,
    /// Memory of frames; shared by all engines on the same pool.
    pub pool: PoolStats,
    /// Items between handlers and consumers.
    pub flow: FlowStats,
    /// Endings by exception, by class name.
    pub errors: BTreeMap<String, u64>,
    /// Python references that wait for a Python thread to release them.
    pub deferred_releases: usize,
    /// Items of each hand-over.
    pub batch_items: Histogram,
    /// Seconds from each call to its first item.
    pub first_item_seconds: Histogram,
    /// Seconds from the request to stop a stream, whatever the reason, to its ending.
    pub cancel_seconds: Histogram,
}

impl EngineStats {
    /// The counters of `state` now.
    pub(crate) fn of(state: &EngineState) -> Self {
        let metrics = &state.metrics;
        let (queued, decoded_bytes) = state.admission.counts();
        let cancelled = Reason::ALL.into_iter().zip(metrics.cancelled.iter().map(get)).collect();
        let attaches = attaches().into_iter().filter_map(|(thread, count)| {
            let since = count - state.attaches_before.get(&thread).copied().unwrap_or_default();
            (since > 0).then_some((thread, since))
        });
        let workers = worker::workers();
        Self {
            streams: StreamStats {
                started: get(&metrics.started),
                live: state.live_count(),
                finished: get(&metrics.finished),
                raised: get(&metrics.raised),
                cancelled,
                queued,
                refused: get(&metrics.refused),
                close_ignored: get(&metrics.close_ignored),
                close_timeout: get(&metrics.close_timeout),
                close_error: get(&metrics.close_error),
            },
            frames: get(&metrics.frames),
            bytes: get(&metrics.bytes),
            crossings: get(&metrics.crossings),
            attaches: attaches.collect(),
            wakeups: workers.iter().map(|worker| worker.wakeups).sum(),
            workers,
            pool: state.pool.stats(),
            flow: FlowStats {
                in_flight_bytes: state.live().iter().map(|stream| stream.queue.credit.in_flight().0).sum(),
                waits: get(&metrics.waits),
                slow_consumers: get(&metrics.slow_consumers),
                decoded_bytes,
            },
            errors: metrics.errors(),
            deferred_releases: deferred_release::release_counts().0,
            batch_items: Histogram::of(&BATCH_ITEMS, &metrics.batch_items),
            first_item_seconds: Histogram::of(&SECONDS, &metrics.first_item),
            cancel_seconds: Histogram::of(&SECONDS, &metrics.cancel),
        }
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
