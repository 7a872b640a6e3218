//! From a request to a running asyncio task.

use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;

use super::coroutine::Driver;
use super::handler::HasHandler;
use crate::error::Reason;
use crate::state::{Ending, StartRequest, fail};
use crate::worker::{Gate, Port};

/// Makes the driver and its task on the worker's own thread.
pub(crate) fn start_stream<E: HasHandler>(py: Python<'_>, worker: &Bound<'_, PyAny>, start: Box<StartRequest>) {
    let core = Arc::clone(&start.core);
    if core.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        core.cancel(Reason::Deadline);
    }
    if let Some(reason) = core.cancel_reason() {
        core.finish(Ending::cancelled(reason));
        core.engine.return_place(&core);
        return;
    }
    let object = start.engine.get(py).bind(py).clone();
    let started = worker.cast().map_err(PyErr::from).and_then(|port| {
        let engine = E::of(&object)?;
        match Gate::of(py, port, engine, start)? {
            Gate::Open(start) => try_start(py, port, *start, engine),
            Gate::Waiting => Ok(()),
        }
    });
    if let Err(error) = started {
        fail(py, &core, &error);
    }
}

fn try_start(py: Python<'_>, port: &Bound<'_, Port>, start: StartRequest, engine: &impl HasHandler) -> PyResult<()> {
    let core = Arc::clone(&start.core);
    let context = match &start.context {
        Some(context) => context.get(py).clone_ref(py),
        None => engine.tasks().copy_context(py)?,
    };
    let driver = Driver::new(py, port, start, engine)?;
    core.restart_idle();
    match port.get().spawn(py, &core, driver.clone().into_any(), context, &engine.tasks().name) {
        // An eager task has run to its end, and what only an exit does, raised into its maker: the loop's to hear.
        Err(error) if core.is_released() => port.get().raise_in_loop(py, &error),
        Err(error) => {
            // Here and not by the caller: a driver that goes before its stream has ended ends it as lost.
            fail(py, &core, &error);
            drop(driver);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
