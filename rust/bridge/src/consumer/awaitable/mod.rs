//! Coroutines made in Rust: what `await` and asyncio's tasks drive for streams, calls, contexts and engines.

mod awaited;
mod goal;
mod single_call;
mod slots;

pub(crate) use awaited::Awaited;
pub(crate) use goal::Goal;
pub use goal::Polled;
pub(crate) use single_call::Single;
pub(crate) use slots::prepare;

use pyo3::prelude::*;

/// A coroutine that waits for `polled`.
///
/// # Errors
/// Those of making an object.
pub fn coroutine(py: Python<'_>, polled: impl Polled + 'static) -> PyResult<Bound<'_, PyAny>> {
    Awaited::new(py, Goal::Polled(Box::new(polled))).map(Bound::into_any)
}
