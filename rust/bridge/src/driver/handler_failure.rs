//! The ending of a stream whose handler, or the way to or from it, failed.

use pyo3::prelude::*;

use super::coroutine::Driver;
use crate::base::loop_owned::Deferred;
use crate::error::{Failure, py_errors};
use crate::state::{Ending, report};

/// The ending of a stream with `failure`, which is told of.
pub(super) fn raised(driver: &Bound<'_, Driver>, failure: Failure) -> Ending {
    report(driver.py(), &driver.get().core, &failure);
    Ending::Raised(Box::new(failure))
}

pub(super) fn failure(driver: &Bound<'_, Driver>, error: &PyErr) -> Failure {
    let core = &driver.get().core;
    let home = core.owner();
    py_errors::failure_of(driver.py(), error, core.raises.then_some(|object| Deferred::new(object, home)))
}
