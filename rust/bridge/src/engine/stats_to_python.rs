//! Snapshots as nested dicts, from which the Python package makes its dataclasses of the same names.

use pybridge_pool::PoolStats;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::engine_stats::{EngineStats, Histogram};

/// A dict of the fields of a struct that are named, and of more entries.
macro_rules! dict {
    ($py:expr, $from:expr; $($field:ident),* $(; $($name:literal: $value:expr),+)?) => {{
        let dict = PyDict::new($py);
        $(dict.set_item(stringify!($field), &$from.$field)?;)*
        $($(dict.set_item($name, $value)?;)+)?
        dict
    }};
}

pub(super) fn engine<'py>(py: Python<'py>, stats: &EngineStats) -> PyResult<Bound<'py, PyDict>> {
    let streams = &stats.streams;
    let cancelled = PyDict::new(py);
    for (reason, count) in &streams.cancelled {
        cancelled.set_item(reason.as_str(), count)?;
    }
    let streams = dict!(
        py, streams;
        started, live, finished, raised, queued, refused, close_ignored, close_timeout, close_error;
        "cancelled": cancelled
    );
    let flow = dict!(py, stats.flow; in_flight_bytes, waits, slow_consumers, decoded_bytes);
    let workers = PyList::empty(py);
    for worker in &stats.workers {
        workers.append(dict!(py, worker; name, kind, lag_ms, stalls, live; "loop": &worker.loop_name))?;
    }
    Ok(dict!(
        py, stats;
        frames, bytes, crossings, attaches, wakeups, errors, deferred_releases;
        "streams": streams,
        "flow": flow,
        "workers": workers,
        "pool": pool(py, &stats.pool)?,
        "batch_items": histogram(py, &stats.batch_items)?,
        "first_item_seconds": histogram(py, &stats.first_item_seconds)?,
        "cancel_seconds": histogram(py, &stats.cancel_seconds)?
    ))
}

fn histogram<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let (bounds, counts) = (PyTuple::new(py, &histogram.bounds)?, PyTuple::new(py, &histogram.counts)?);
    Ok(dict!(py, histogram; total; "bounds": bounds, "counts": counts))
}

pub(super) fn pool<'py>(py: Python<'py>, stats: &PoolStats) -> PyResult<Bound<'py, PyDict>> {
    let classes = PyList::empty(py);
    for class in &stats.classes {
        classes.append(dict!(
            py, class;
            capacity, hits, misses;
            "live_bytes": class.live_bytes(),
            "parked_bytes": class.parked_bytes(),
            "peak_bytes": class.peak_bytes()
        ))?;
    }
    let config = &stats.config;
    let config = dict!(
        py, config;
        segment_bytes, small_parked_bytes, large_parked_bytes, max_live_bytes, zero_on_reuse;
        "decay_interval": config.decay_interval.as_secs_f64(),
        "idle_timeout": config.idle_timeout.as_secs_f64(),
        "leak_after": config.leak_after.as_secs_f64()
    );
    Ok(dict!(
        py, stats;
        live_bytes, parked_bytes, pinned_bytes, peak_bytes, hits, misses, fallbacks, held_bytes, inbound_bytes, exhausted,
        oversized, copied_out_bytes, leaks;
        "released": dict!(py, stats.released; decay, idle, trim, cap),
        "segments": dict!(py, stats.segments; hits, misses, reclaimed, busy, writers),
        "classes": classes,
        "config": config
    ))
}
