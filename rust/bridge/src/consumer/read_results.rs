//! The Python objects that a read gives: items, chunks of several batches, and the exceptions that stand for endings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pybridge_pool::Batch;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::base::fault;
use crate::codec::{self, CodecSpec};
use crate::error::Failure;
use crate::error::py_errors::{IntoException, raise_cancelled, raise_failure};
use crate::state::{Ending, StreamState};

/// The value of a frame. A panic on the way is counted and becomes `InternalError`.
pub(super) fn item_of<'py>(
    py: Python<'py>,
    stream: &StreamState,
    spec: &CodecSpec,
    frame: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        fault::reach(fault::Point::Decode);
        codec::decode(py, spec, &stream.engine.limits, frame).map_err(|error| error.into_exception(py))
    }));
    let decoded = decoded.unwrap_or_else(|_panic| {
        stream.engine.metrics.panics.fetch_add(1, Ordering::Relaxed);
        Err(raise_failure(py, &Failure::panicked()))
    });
    decoded.map(|item| item.into_bound(py))
}

/// Batches in one piece.
pub(super) fn chunk_of<'py>(py: Python<'py>, batches: &[Batch]) -> PyResult<Bound<'py, PyAny>> {
    let len = batches.iter().map(|batch| batch.bytes().len()).sum();
    let chunk = PyBytes::new_with(py, len, |mut chunk| {
        for batch in batches {
            let (here, rest) = std::mem::take(&mut chunk).split_at_mut(batch.bytes().len());
            here.copy_from_slice(batch.bytes());
            chunk = rest;
        }
        Ok(())
    });
    chunk.map(Bound::into_any)
}

/// The exception that stands for an ending; `None` for the clean one.
pub(super) fn raise_ending(py: Python<'_>, ending: Ending) -> Option<PyErr> {
    match ending {
        Ending::Finished => None,
        Ending::Raised(failure) => Some(raise_failure(py, &failure)),
        Ending::Cancelled(cancellation) => {
            let error = raise_cancelled(py, cancellation.reason);
            if let Some(context) = cancellation.context {
                error.set_context(py, Some(PyErr::from_value(context.get(py).bind(py).clone())));
            }
            Some(error)
        }
    }
}
