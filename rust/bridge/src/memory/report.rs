//! Functions that the Python package calls: the shares of the process's memory, and its settings.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::settings::{self, IdleRelease, Settings};
use super::{allocator, give_memory_back, malloc, python_kept, resident};
use crate::base::lock::{Mutex, lock};
use crate::consumer::PyFrame;
use crate::engine::pool_totals;

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
        let mut last = lock(&LAST);
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

/// Whose the process's memory is, in bytes.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) resident: usize,
    pub(crate) pool_live: usize,
    pub(crate) pool_parked: usize,
    pub(crate) pool_pinned: usize,
    /// A number of frames.
    pub(crate) frames_held: usize,
    pub(crate) malloc_in_use: usize,
    pub(crate) malloc_free: usize,
    /// A number of arenas.
    pub(crate) malloc_arenas: usize,
    /// A number of blocks; `None`: nobody has counted them yet.
    pub(crate) python_blocks: Option<usize>,
}

impl Figures {
    /// Figures of malloc may be `malloc_age` old; the blocks are those that [`count_blocks`] found last.
    pub(crate) fn at_most(malloc_age: Duration) -> Self {
        let malloc = MallocFigures::at_most(malloc_age);
        let (pool_live, pool_parked, pool_pinned) = pool_totals();
        Self {
            resident: resident::resident().unwrap_or_default(),
            pool_live,
            pool_parked,
            pool_pinned,
            frames_held: PyFrame::held(),
            malloc_in_use: malloc.in_use,
            malloc_free: malloc.free,
            malloc_arenas: malloc.arenas,
            python_blocks: Some(BLOCKS.load(Ordering::Relaxed)).filter(|&blocks| blocks != UNKNOWN),
        }
    }
}

const UNKNOWN: usize = usize::MAX;

/// Blocks that Python's own allocator had handed out when they were counted last.
static BLOCKS: AtomicUsize = AtomicUsize::new(UNKNOWN);

/// Counts the blocks of Python's own allocator, which only its threads can.
pub(crate) fn count_blocks(py: Python<'_>) -> PyResult<()> {
    let blocks: isize = py.import("sys")?.call_method0("getallocatedblocks")?.extract()?;
    // With the system's allocator pymalloc counts only what it frees for it.
    let blocks = if allocator::is_system(py) { 0 } else { usize::try_from(blocks).unwrap_or_default() };
    BLOCKS.store(blocks, Ordering::Relaxed);
    Ok(())
}

/// The process's memory as nested dicts; figures of malloc may be `malloc_age` seconds old.
#[python_entry]
#[pyfunction]
#[pyo3(signature = (malloc_age=0.0))]
pub(crate) fn memory_snapshot(py: Python<'_>, malloc_age: f64) -> PyResult<Bound<'_, PyDict>> {
    let max_age = Duration::try_from_secs_f64(malloc_age).unwrap_or_default();
    count_blocks(py)?;
    let figures = py.detach(|| Figures::at_most(max_age));
    let releases = PyList::empty(py);
    for release in give_memory_back::releases() {
        let entry = PyDict::new(py);
        entry.set_item("when", release.when)?;
        entry.set_item("what", release.what)?;
        entry.set_item("bytes", release.bytes)?;
        entry.set_item("seconds", release.seconds)?;
        releases.append(entry)?;
    }
    let snapshot = PyDict::new(py);
    snapshot.set_item("resident", figures.resident)?;
    snapshot.set_item("pool_live", figures.pool_live)?;
    snapshot.set_item("pool_parked", figures.pool_parked)?;
    snapshot.set_item("pool_pinned", figures.pool_pinned)?;
    snapshot.set_item("frames_held", figures.frames_held)?;
    snapshot.set_item("malloc_in_use", figures.malloc_in_use)?;
    snapshot.set_item("malloc_free", figures.malloc_free)?;
    snapshot.set_item("malloc_arenas", figures.malloc_arenas)?;
    snapshot.set_item("python_blocks", figures.python_blocks)?;
    snapshot.set_item("releases", releases)?;
    let wanted = settings::current().idle_release == IdleRelease::All;
    let obstacle =
        if wanted { python_kept::python_obstacle(py)?.or_else(python_kept::last_python_obstacle) } else { None };
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
    } else if let Some(reason) = python_kept::python_obstacle(py)? {
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
