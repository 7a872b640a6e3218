//! The reasons for which Python's share of the memory is kept, and the last one noted.

use pyo3::intern;
use pyo3::prelude::*;

use crate::base::lock::{Mutex, lock};

/// More than an interpreter freezes by itself: 3.12's collector does so with immortal objects, some hundred. A program's
/// freeze takes all there are, tens of thousands.
const FROZEN_BY_INTERPRETER: usize = 2_000;

static PYTHON_KEPT: Mutex<Option<String>> = Mutex::new(None);

/// Notes why the last release left Python's share; `None`: it did not.
pub(super) fn note_python_obstacle(reason: Option<String>) {
    *lock(&PYTHON_KEPT) = reason;
}

/// Why the last release left Python's share; `None`: it did not, or there was none.
pub(super) fn last_python_obstacle() -> Option<String> {
    lock(&PYTHON_KEPT).clone()
}

/// Why Python's free lists must not be emptied in this process; `None`: they may be.
pub(super) fn python_obstacle(py: Python<'_>) -> PyResult<Option<String>> {
    let version = py.version_info();
    if collects_incrementally((version.major, version.minor, version.patch)) {
        return Ok(Some("CPython 3.14.0 to 3.14.4 collect in steps, which a release would set back".into()));
    }
    let frozen = frozen_objects(py)?;
    let by_interpreter = if version >= (3, 12) { FROZEN_BY_INTERPRETER } else { 0 };
    Ok((frozen > by_interpreter).then(|| format!("gc.freeze() is in use ({frozen} objects), which must not be undone")))
}

fn collects_incrementally(version: (u8, u8, u8)) -> bool {
    ((3, 14, 0)..=(3, 14, 4)).contains(&version)
}

pub(super) fn frozen_objects(py: Python<'_>) -> PyResult<usize> {
    py.import(intern!(py, "gc"))?.call_method0(intern!(py, "get_freeze_count"))?.extract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pythons_that_collect_in_steps_are_left_alone() {
        let versions = [(3, 11, 7), (3, 13, 9), (3, 14, 0), (3, 14, 4), (3, 14, 5), (3, 15, 0)];
        assert_eq!(versions.map(collects_incrementally), [false, false, true, true, false, false]);
    }
}
