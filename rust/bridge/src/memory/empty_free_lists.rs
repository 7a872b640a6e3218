//! The emptying of Python's free lists, which hold whole arenas by a few dead objects.

use pyo3::intern;
use pyo3::prelude::*;

use super::python_kept::{frozen_objects, python_obstacle};
use crate::worker::LoopWorker;

/// As many as asyncio keeps of the objects by which a future is awaited. The collector does not know of them.
const KEPT_AWAITS: usize = 255;

/// Puts new objects in the place of those that asyncio keeps: an old one lies among what its request allocated, and holds an
/// arena of that alone; new ones lie side by side.
pub(super) fn renew_kept_awaits(worker: &Bound<'_, LoopWorker>) {
    let Ok(future) = worker.get().create_future(worker.py()) else { return };
    let take_all = || (0..KEPT_AWAITS).map(|_| future.try_iter()).collect::<PyResult<Vec<_>>>();
    let (Ok(old), Ok(new)) = (take_all(), take_all()) else { return };
    drop(new);
    // The list is full by now: these are freed.
    drop(old);
}

/// A collection that looks at no object empties the free lists all the same. Fails with the reason where it must not be.
///
/// Functions in `gc.callbacks` are the program's, and run during it: what one of them freezes stays frozen, and what was
/// frozen here with it.
pub(super) fn empty_free_lists(py: Python<'_>) -> PyResult<Result<(), String>> {
    if let Some(reason) = python_obstacle(py)? {
        return Ok(Err(reason));
    }
    let gc = py.import(intern!(py, "gc"))?;
    gc.call_method0(intern!(py, "freeze"))?;
    let frozen_here = frozen_objects(py)?;
    let collected = gc.call_method0(intern!(py, "collect"));
    if frozen_objects(py)? <= frozen_here {
        gc.call_method0(intern!(py, "unfreeze"))?;
    }
    collected.map(|_| Ok(()))
}
