//! Distributions of short times.

use std::time::Duration;

use hdrhistogram::Histogram;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Shortest and longest time told apart, in nanoseconds.
const RANGE: (u64, u64) = (100, 120_000_000_000);
/// Two figures are what a percentile of a benchmark can carry, and keep a histogram at a few KiB per task.
const SIGNIFICANT_FIGURES: u8 = 2;

/// Times between two events, kept as a histogram.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u32>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(RANGE.0, RANGE.1, SIGNIFICANT_FIGURES);
        Self(histogram.expect("the bounds are constants that fit"))
    }
}

impl Latency {
    pub(crate) fn record(&mut self, time: Duration) {
        self.record_nanos(time.as_nanos() as u64);
    }

    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Items that came together with one before them.
    pub(crate) fn record_together(&mut self, items: usize) {
        self.0.saturating_record_n(0, items as u32);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// `{"count", "p50_us", "p99_us", "max_us"}`, or `None` when nothing was recorded.
    pub(crate) fn summary<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        // What is shorter than can be told apart is no time at all: items that came together.
        let micros = |nanos: u64| if nanos < RANGE.0 { 0.0 } else { nanos as f64 / 1e3 };
        let summary = PyDict::new(py);
        summary.set_item("count", self.0.len())?;
        summary.set_item("p50_us", micros(self.0.value_at_quantile(0.5)))?;
        summary.set_item("p99_us", micros(self.0.value_at_quantile(0.99)))?;
        summary.set_item("max_us", micros(self.0.max()))?;
        Ok(Some(summary))
    }
}
