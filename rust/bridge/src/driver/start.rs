//! The start of a stream on its worker: from a request to a running asyncio task.

use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;

use super::coroutine::Driver;
use super::handler::HasHandler;
use crate::error::Reason;
use crate::state::{Ending, StartRequest, fail};
use crate::worker::{Gate, LoopWorker};

/// Makes the driver and its task on the worker's own thread.
pub(crate) fn start_stream<E: HasHandler>(py: Python<'_>, worker: &Bound<'_, PyAny>, start: Box<StartRequest>) {
    let stream = Arc::clone(&start.stream);
    if stream.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        stream.cancel(Reason::Deadline);
    }
    if let Some(reason) = stream.cancel_reason() {
        stream.finish(Ending::cancelled(reason));
        stream.engine.release_place(&stream);
        return;
    }
    let object = start.engine.get(py).bind(py).clone();
    let started = worker.cast().map_err(PyErr::from).and_then(|worker| {
        let engine = E::of(&object)?;
        match Gate::of(py, worker, engine, start)? {
            Gate::Open(start) => try_start(py, worker, *start, engine),
            Gate::Waiting => Ok(()),
        }
    });
    if let Err(error) = started {
        fail(py, &stream, &error);
    }
}

fn try_start(
    py: Python<'_>,
    worker: &Bound<'_, LoopWorker>,
    start: StartRequest,
    engine: &impl HasHandler,
) -> PyResult<()> {
    let stream = Arc::clone(&start.stream);
    let context = match &start.context {
        Some(context) => context.get(py).clone_ref(py),
        None => engine.tasks().copy_context(py)?,
    };
    let driver = Driver::new(py, worker, start, engine)?;
    stream.restart_idle();
    match worker.get().spawn(py, &stream, driver.clone().into_any(), context, &engine.tasks().name) {
        // An eager task has run to its end and raised an exit into its maker: the loop is told, which ends by it.
        Err(error) if stream.is_released() => worker.get().raise_in_loop(py, &error),
        Err(error) => {
            // Here and not by the caller: a driver that goes before its stream has ended ends it as lost.
            fail(py, &stream, &error);
            drop(driver);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
