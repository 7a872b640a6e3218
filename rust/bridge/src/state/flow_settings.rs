//! Settings of flow control, admission and limits, read off the validated Python settings.

use std::time::Duration;

use pyo3::prelude::*;

use super::credit::Watermarks;
use crate::codec::{DuplicateKeys, Limits};

/// `max_held_bytes` where the memory limit is unknown.
const FALLBACK_HELD_BYTES: usize = 1 << 30;

/// What an engine admits.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the names that users know them by")]
pub(crate) struct AdmissionLimits {
    pub(crate) max_concurrency: Option<usize>,
    pub(crate) max_queue: Option<usize>,
    pub(crate) max_held_bytes: usize,
}

/// When items leave the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Flush {
    /// Once per turn of the event loop, those of all streams together, or every 50 us where turns are shorter: the highest
    /// throughput.
    #[default]
    Turn,
    /// Each time the handler waits: the lowest latency under load.
    Suspend,
}

/// Flow control of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) flush: Flush,
    pub(crate) batch_items: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) watermarks: Watermarks,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) cancel_grace: Duration,
    pub(crate) abandon_timeout: Option<Duration>,
    pub(crate) admission: AdmissionLimits,
}

impl Flow {
    pub(crate) fn of(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let high_bytes: usize = config.getattr("high_water")?.extract()?;
        let high_items: usize = config.getattr("high_water_items")?.extract()?;
        let low_bytes: Option<usize> = config.getattr("low_water")?.extract()?;
        let max_held_bytes: Option<usize> = config.getattr("max_held_bytes")?.extract()?;
        let seconds = |name: &str| -> PyResult<Option<Duration>> {
            Ok(config.getattr(name)?.extract::<Option<f64>>()?.map(Duration::from_secs_f64))
        };
        Ok(Self {
            flush: if config.getattr("flush")?.extract::<String>()? == "suspend" {
                Flush::Suspend
            } else {
                Flush::Turn
            },
            batch_items: config.getattr("batch_items")?.extract()?,
            batch_bytes: config.getattr("batch_bytes")?.extract()?,
            watermarks: Watermarks {
                high_bytes,
                low_bytes: low_bytes.unwrap_or(high_bytes / 4),
                high_items,
                low_items: high_items / 4,
            },
            write_timeout: seconds("write_timeout")?,
            cancel_grace: seconds("cancel_grace")?.unwrap_or_default(),
            abandon_timeout: seconds("abandon_timeout")?,
            admission: AdmissionLimits {
                max_concurrency: config.getattr("max_concurrency")?.extract()?,
                max_queue: config.getattr("max_queue")?.extract()?,
                max_held_bytes: max_held_bytes
                    .unwrap_or_else(|| pybridge_pool::memory_limit().map_or(FALLBACK_HELD_BYTES, |limit| limit / 4)),
            },
        })
    }
}

/// The limits of messages.
pub(crate) fn limits(config: &Bound<'_, PyAny>) -> PyResult<Limits> {
    let last = config.getattr("duplicate_keys")?.extract::<String>()? == "last";
    Ok(Limits::default()
        .max_depth(config.getattr("max_depth")?.extract()?)
        .max_nodes(config.getattr("max_nodes")?.extract()?)
        .max_frame_bytes(config.getattr("max_frame_bytes")?.extract()?)
        .max_decoded_bytes(config.getattr("max_decoded_bytes")?.extract()?)
        .max_metadata_bytes(config.getattr("max_metadata_bytes")?.extract()?)
        .max_metadata_entries(config.getattr("max_metadata_entries")?.extract()?)
        .duplicate_keys(if last { DuplicateKeys::Last } else { DuplicateKeys::Error })
        .max_expansion(config.getattr("max_expansion")?.extract()?))
}
