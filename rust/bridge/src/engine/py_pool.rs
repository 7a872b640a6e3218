//! The pool object of the Python package, and the pool that engines share.

use std::sync::OnceLock;
use std::time::Duration;

use pybridge_pool::{Pool, PoolConfig};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::py_errors::config_error;

static SHARED: OnceLock<Pool> = OnceLock::new();

/// Buffers that engines share: limits, statistics and the large tier.
#[python_entry]
#[pyclass(frozen, name = "Pool", module = "pybridge._pybridge")]
pub(crate) struct PyPool {
    pub(crate) pool: Pool,
}

impl PyPool {
    pub(crate) fn of(pool: Pool) -> Self {
        super::known_pools::know_pool(&pool);
        Self { pool }
    }
}

#[python_entry]
#[pymethods]
impl PyPool {
    #[new]
    fn new(py: Python<'_>, config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds =
            |name: &str| -> PyResult<Duration> { Ok(Duration::from_secs_f64(config.getattr(name)?.extract()?)) };
        let config = PoolConfig::default()
            .segment_bytes(config.getattr("segment_bytes")?.extract()?)
            .small_parked_bytes(config.getattr("small_parked_bytes")?.extract()?)
            .large_parked_bytes(config.getattr("large_parked_bytes")?.extract()?)
            .max_live_bytes(config.getattr("max_live_bytes")?.extract::<Option<_>>()?)
            .decay_interval(seconds("decay_interval")?)
            .idle_timeout(seconds("idle_timeout")?)
            .zero_on_reuse(config.getattr("zero_on_reuse")?.extract()?)
            .leak_after(seconds("leak_after")?);
        Ok(Self::of(Pool::new(config).map_err(|error| config_error(py, &error))?))
    }

    /// Gives all idle memory back now; returns the bytes.
    fn trim(&self, py: Python<'_>) -> usize {
        py.detach(|| self.pool.trim())
    }

    /// The counters, as a nested dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        super::stats_to_python::pool(py, &self.pool.stats())
    }
}

/// The pool of engines that were given none.
pub(crate) fn shared_pool(py: Python<'_>) -> PyResult<Pool> {
    if let Some(pool) = SHARED.get() {
        return Ok(pool.clone());
    }
    let pool = PoolConfig::from_env().and_then(Pool::new).map_err(|error| config_error(py, &error))?;
    let shared = SHARED.get_or_init(|| {
        super::known_pools::know_pool(&pool);
        pool
    });
    Ok(shared.clone())
}

/// True of the pool of engines that were given none.
pub(crate) fn is_shared(pool: &Pool) -> bool {
    SHARED.get().is_some_and(|shared| shared.id() == pool.id())
}
