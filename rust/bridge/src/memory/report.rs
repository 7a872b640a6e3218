//! Whose memory it is, and what can be done about it: what the Python package asks for.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::settings::{self, IdleRelease, Settings};
use super::{allocator, malloc, release, resident};
use crate::engine::pool_totals;
use crate::frame::PyFrame;
use crate::lock::Mutex;

/// What malloc says of itself.
#[derive(Debug, Clone, Copy, Default)]
struct MallocFigures {
    in_use: usize,
    free: usize,
    arenas: usize,
}

impl MallocFigures {
    fn measure() -> Self {
        let (in_use, free) = malloc::usage().unwrap_or_default();
        Self { in_use, free, arenas: malloc::arenas().unwrap_or_default() }
    }

    /// Not older than `max_age`; asking malloc walks its free lists.
    fn at_most(max_age: Duration) -> Self {
        static LAST: Mutex<Option<(Instant, MallocFigures)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((when, figures)) if when.elapsed() < max_age => figures,
            _ => {
                let figures = Self::measure();
                *last = Some((Instant::now(), figures));
                figures
            }
        }
    }
}

/// The process's memory as nested dicts; figures of malloc may be `malloc_age` seconds old.
#[python_entry]
#[pyfunction]
#[pyo3(signature = (malloc_age=0.0))]
pub(crate) fn memory_snapshot(py: Python<'_>, malloc_age: f64) -> PyResult<Bound<'_, PyDict>> {
    let max_age = Duration::try_from_secs_f64(malloc_age).unwrap_or_default();
    let figures = py.detach(|| MallocFigures::at_most(max_age));
    let (live, parked, pinned) = pool_totals();
    let blocks: isize = py.import("sys")?.call_method0("getallocatedblocks")?.extract()?;
    let releases = PyList::empty(py);
    for release in release::releases() {
        let entry = PyDict::new(py);
        entry.set_item("when", release.when)?;
        entry.set_item("what", release.what)?;
        entry.set_item("bytes", release.bytes)?;
        entry.set_item("seconds", release.seconds)?;
        releases.append(entry)?;
    }
    let snapshot = PyDict::new(py);
    snapshot.set_item("resident", resident::resident().unwrap_or_default())?;
    snapshot.set_item("pool_live", live)?;
    snapshot.set_item("pool_parked", parked)?;
    snapshot.set_item("pool_pinned", pinned)?;
    snapshot.set_item("frames_held", PyFrame::held())?;
    snapshot.set_item("malloc_in_use", figures.in_use)?;
    snapshot.set_item("malloc_free", figures.free)?;
    snapshot.set_item("malloc_arenas", figures.arenas)?;
    // With the system's allocator pymalloc counts only what it frees for it.
    snapshot.set_item("python_blocks", if allocator::is_system(py) { 0 } else { blocks.max(0) })?;
    snapshot.set_item("releases", releases)?;
    let wanted = settings::current().idle_release == IdleRelease::All;
    let obstacle = if wanted { release::python_obstacle(py)?.or_else(release::last_python_obstacle) } else { None };
    snapshot.set_item("python_kept", obstacle)?;
    Ok(snapshot)
}

/// Puts settings (`pybridge.MemoryConfig`) in force, as far as nothing stands in their way.
#[python_entry]
#[pyfunction]
pub(crate) fn apply_memory(
    py: Python<'_>,
    idle_release: IdleRelease,
    min_gain: usize,
    tune_malloc: bool,
    system_allocator: bool,
) -> PyResult<()> {
    settings::set(Settings { idle_release, min_gain });
    if tune_malloc {
        malloc::pin_threshold();
    }
    if system_allocator && allocator::obstacle(py)?.is_none() {
        allocator::use_system(py);
    }
    Ok(())
}

/// What stands in the way of giving back malloc's memory and Python's, of `tune_malloc` and of the system's allocator:
/// reasons by name, without those that work here.
#[python_entry]
#[pyfunction]
pub(crate) fn memory_obstacles(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let obstacles = PyDict::new(py);
    let unknown = resident::resident().is_none().then_some("the system does not tell how much of a process is in RAM");
    if let Some(reason) = unknown.or(malloc::trim_obstacle()) {
        obstacles.set_item("malloc", reason)?;
    }
    if let Some(reason) = unknown {
        obstacles.set_item("python", reason)?;
    } else if let Some(reason) = release::python_obstacle(py)? {
        obstacles.set_item("python", reason)?;
    }
    if let Some(reason) = malloc::obstacle() {
        obstacles.set_item("tune_malloc", reason)?;
    }
    if let Some(reason) = allocator::obstacle(py)? {
        obstacles.set_item("system_allocator", reason)?;
    }
    Ok(obstacles)
}
