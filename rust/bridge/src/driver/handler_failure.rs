//! The ending of a stream that failed in its handler, or in decoding its request or encoding its items.

use pyo3::prelude::*;

use super::coroutine::Driver;
use crate::base::deferred_release::LoopOwned;
use crate::error::{Failure, py_errors};
use crate::state::{Ending, report};

/// The ending of a stream with `failure`, which is told of.
pub(super) fn raised(driver: &Bound<'_, Driver>, failure: Failure) -> Ending {
    report(driver.py(), &driver.get().stream, &failure);
    Ending::Raised(Box::new(failure))
}

pub(super) fn failure(driver: &Bound<'_, Driver>, error: &PyErr) -> Failure {
    let stream = &driver.get().stream;
    let owner = stream.owner();
    py_errors::failure_of(driver.py(), error, stream.raises.then_some(|object| LoopOwned::new(object, owner)))
}
