//! From a request to a running asyncio task.

use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;

use super::driver::Driver;
use super::ending::Ending;
use crate::engine::PyEngine;
use crate::error::Reason;
use crate::state::{StartRequest, fail};
use crate::worker::{Gate, Port};

/// Makes the driver and its task on the worker's own thread.
pub(crate) fn start(py: Python<'_>, worker: &Bound<'_, PyAny>, start: Box<StartRequest>) {
    let core = Arc::clone(&start.core);
    if core.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        core.cancel(Reason::Deadline);
    }
    if let Some(reason) = core.cancel_reason() {
        core.finish(Ending::cancelled(reason));
        core.engine.return_place(&core);
        return;
    }
    let started = worker.cast::<Port>().map_err(PyErr::from).and_then(|port| match Gate::of(py, port, start)? {
        Gate::Open(start) => try_start(py, port, *start),
        Gate::Waiting => Ok(()),
    });
    if let Err(error) = started {
        fail(py, &core, &error);
    }
}

fn try_start(py: Python<'_>, port: &Bound<'_, Port>, start: StartRequest) -> PyResult<()> {
    let core = Arc::clone(&start.core);
    let engine = start.engine.get(py).bind(py).cast::<PyEngine>()?.clone();
    let context = match &start.context {
        Some(context) => context.get(py).clone_ref(py),
        None => engine.get().copy_context(py)?,
    };
    let driver = Driver::new(py, port, start, &engine)?;
    core.restart_idle();
    match port.get().spawn(py, &core, driver.clone().into_any(), context, &engine.get().task_name) {
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
