//! Counters as nested dicts, with the names of the Python dataclasses.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use pybridge_pool::{Pool, WeakPool};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::core::EngineCore;
use super::leaks;
use crate::lock::Mutex;
use crate::metrics::{BATCH_ITEMS, Histogram, SECONDS};
use crate::stream::Reason;
use crate::worker;

static POOLS: Mutex<Vec<WeakPool>> = Mutex::new(Vec::new());

/// Notes a pool for the totals of the process, and has its leaks logged.
pub(super) fn know_pool(pool: &Pool) {
    leaks::log_leaks_of(pool);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|pool| pool.upgrade().is_some());
    pools.push(pool.downgrade());
}

/// Live, parked and pinned bytes of all pools.
pub(crate) fn pool_totals() -> (usize, usize, usize) {
    let pools: Vec<Pool> =
        POOLS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(WeakPool::upgrade).collect();
    pools.iter().map(Pool::stats).fold((0, 0, 0), |(live, parked, pinned), stats| {
        (live + stats.live_bytes, parked + stats.parked_bytes, pinned + stats.pinned_bytes)
    })
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(super) fn engine<'py>(py: Python<'py>, core: &EngineCore) -> PyResult<Bound<'py, PyDict>> {
    let metrics = &core.metrics;
    let live = core.live();
    let (queued, held) = core.admission.counts();

    let cancelled = PyDict::new(py);
    for (reason, count) in Reason::ALL.iter().zip(&metrics.cancelled) {
        cancelled.set_item(reason.as_str(), get(count))?;
    }
    let streams = PyDict::new(py);
    streams.set_item("started", get(&metrics.started))?;
    streams.set_item("live", core.live_count())?;
    streams.set_item("finished", get(&metrics.finished))?;
    streams.set_item("raised", get(&metrics.raised))?;
    streams.set_item("cancelled", cancelled)?;
    streams.set_item("queued", queued)?;
    streams.set_item("refused", get(&metrics.refused))?;
    streams.set_item("close_ignored", get(&metrics.close_ignored))?;
    streams.set_item("close_timeout", get(&metrics.close_timeout))?;
    streams.set_item("close_error", get(&metrics.close_error))?;

    let flow = PyDict::new(py);
    flow.set_item("in_flight_bytes", live.iter().map(|stream| stream.queue.in_flight().0).sum::<usize>())?;
    flow.set_item("waits", get(&metrics.waits))?;
    flow.set_item("slow_consumers", get(&metrics.slow_consumers))?;
    flow.set_item("decoded_bytes", held)?;

    let attaches = PyDict::new(py);
    for (thread, count) in worker::attaches() {
        let since = count - core.attaches_before.get(&thread).copied().unwrap_or_default();
        if since > 0 {
            attaches.set_item(thread, since)?;
        }
    }
    let workers = PyList::empty(py);
    let mut wakeups = 0;
    for worker in worker::workers() {
        let entry = PyDict::new(py);
        entry.set_item("name", worker.name)?;
        entry.set_item("kind", worker.kind)?;
        entry.set_item("loop", worker.loop_name)?;
        entry.set_item("lag_ms", worker.lag_ms)?;
        entry.set_item("stalls", worker.stalls)?;
        entry.set_item("live", worker.live)?;
        workers.append(entry)?;
        wakeups += worker.wakeups;
    }
    let errors = PyDict::new(py);
    for (class, count) in metrics.errors() {
        errors.set_item(class, count)?;
    }
    let (orphans, _leaked) = worker::deferred_counts();
    worker::drain_orphans(py);

    let stats = PyDict::new(py);
    stats.set_item("streams", streams)?;
    stats.set_item("frames", get(&metrics.frames))?;
    stats.set_item("bytes", get(&metrics.bytes))?;
    stats.set_item("crossings", get(&metrics.crossings))?;
    stats.set_item("attaches", attaches)?;
    stats.set_item("wakeups", wakeups)?;
    stats.set_item("workers", workers)?;
    stats.set_item("pool", pool(py, &core.pool)?)?;
    stats.set_item("flow", flow)?;
    stats.set_item("errors", errors)?;
    stats.set_item("deferred_releases", orphans)?;
    stats.set_item("batch_items", histogram(py, &BATCH_ITEMS, &metrics.batch_items)?)?;
    stats.set_item("first_item_seconds", histogram(py, &SECONDS, &metrics.first_item)?)?;
    stats.set_item("cancel_seconds", histogram(py, &SECONDS, &metrics.cancel)?)?;
    Ok(stats)
}

fn histogram<'py>(py: Python<'py>, bounds: &[f64], histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let (counts, total) = histogram.read();
    let raw = PyDict::new(py);
    raw.set_item("bounds", PyTuple::new(py, bounds)?)?;
    raw.set_item("counts", PyTuple::new(py, counts)?)?;
    raw.set_item("total", total)?;
    Ok(raw)
}

pub(super) fn pool<'py>(py: Python<'py>, pool: &Pool) -> PyResult<Bound<'py, PyDict>> {
    let stats = pool.stats();
    let released = PyDict::new(py);
    released.set_item("decay", stats.released.decay)?;
    released.set_item("idle", stats.released.idle)?;
    released.set_item("trim", stats.released.trim)?;
    released.set_item("cap", stats.released.cap)?;
    let classes = PyList::empty(py);
    for class in &stats.classes {
        let entry = PyDict::new(py);
        entry.set_item("capacity", class.capacity)?;
        entry.set_item("live_bytes", class.live * class.capacity)?;
        entry.set_item("parked_bytes", class.parked * class.capacity)?;
        entry.set_item("peak_bytes", class.peak * class.capacity)?;
        entry.set_item("hits", class.hits)?;
        entry.set_item("misses", class.misses)?;
        classes.append(entry)?;
    }
    let segments = PyDict::new(py);
    segments.set_item("hits", stats.segments.hits)?;
    segments.set_item("misses", stats.segments.misses)?;
    segments.set_item("reclaimed", stats.segments.reclaimed)?;
    segments.set_item("busy", stats.segments.busy)?;
    segments.set_item("writers", stats.segments.writers)?;
    let effective = pool.config();
    let config = PyDict::new(py);
    config.set_item("segment_bytes", effective.segment_bytes)?;
    config.set_item("small_parked_bytes", effective.small_parked_bytes)?;
    config.set_item("large_parked_bytes", effective.large_parked_bytes)?;
    config.set_item("max_live_bytes", effective.max_live_bytes)?;
    config.set_item("decay_interval", effective.decay_interval.as_secs_f64())?;
    config.set_item("idle_timeout", effective.idle_timeout.as_secs_f64())?;
    config.set_item("zero_on_reuse", effective.zero_on_reuse)?;
    config.set_item("leak_after", effective.leak_after.as_secs_f64())?;

    let raw = PyDict::new(py);
    raw.set_item("live_bytes", stats.live_bytes)?;
    raw.set_item("parked_bytes", stats.parked_bytes)?;
    raw.set_item("pinned_bytes", stats.pinned_bytes)?;
    raw.set_item("peak_bytes", stats.peak_bytes)?;
    raw.set_item("hits", stats.hits)?;
    raw.set_item("misses", stats.misses)?;
    raw.set_item("fallbacks", stats.fallbacks)?;
    raw.set_item("held_bytes", stats.held_bytes)?;
    raw.set_item("inbound_bytes", stats.inbound_bytes)?;
    raw.set_item("exhausted", stats.exhausted)?;
    raw.set_item("oversized", stats.oversized)?;
    raw.set_item("copied_out_bytes", stats.copied_out_bytes)?;
    raw.set_item("leaks", stats.leaks)?;
    raw.set_item("released", released)?;
    raw.set_item("segments", segments)?;
    raw.set_item("classes", classes)?;
    raw.set_item("config", config)?;
    Ok(raw)
}
