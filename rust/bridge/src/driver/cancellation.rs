//! Cancellation of a handler: the exception that is thrown into its generator, and the judgement of what comes out.

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::awaitable_step::awaiter;
use super::coroutine::Driver;
use super::handler_failure::{failure, raised};
use super::state_machine::{Pending, StateMachine, Transition};
use crate::error::{Reason, handler_exit};
use crate::state::Ending;

impl StateMachine {
    /// Raises in a handler that is parked at a `yield`, or whose generator waits itself, or that has not begun.
    pub(super) fn throw_parked<'py>(&mut self, driver: &Bound<'py, Driver>, error: PyErr) -> Transition<'py> {
        let py = driver.py();
        driver.get().stream.queue.credit.unpause();
        if let Some(source) = &mut self.source {
            source.interrupt(py);
        }
        let athrow = self.source.as_ref().and_then(|source| source.object(py).getattr(intern!(py, "athrow")).ok());
        let Some(athrow) = athrow else { return self.on_error(driver, error) };
        match athrow.call1((error.into_value(py),)).and_then(awaiter) {
            Ok(pending) => {
                self.pending = Some(Pending::Awaitable(pending.unbind()));
                None
            }
            Err(error) => self.on_error(driver, error),
        }
    }

    /// The reason of a cancellation that the handler or its items have felt.
    pub(super) fn cut_short(&self, driver: &Bound<'_, Driver>) -> Option<Reason> {
        driver.get().stream.cancel_reason().filter(|_| self.thrown || self.output.discarded)
    }
}

/// The ending, and what goes to the asyncio task, if `error` is a cancellation or asks the process to exit.
pub(super) fn asked_to_stop(driver: &Bound<'_, Driver>, error: &PyErr) -> Option<(Ending, Option<PyErr>)> {
    let py = driver.py();
    let this = driver.get();
    if error.is_instance_of::<CancelledError>(py) {
        let reason = this.stream.cancel_reason().unwrap_or_else(|| this.stream.note_external());
        return Some((Ending::cancelled(reason), Some(without_frames(py, error))));
    }
    handler_exit::contained_exit(py, error).map(|exit| {
        let (worker, forked) = (this.worker.get(), crate::base::fork::forked());
        // In the child of a fork that a handler made nobody else would end the process.
        let contained = worker.is_dedicated() && !forked;
        let obstacle = if forked { worker.let_task_end_in_child(py, &this.stream).err() } else { None };
        let outward = (!contained).then(|| obstacle.unwrap_or_else(|| error.clone_ref(py)));
        (raised(driver, failure(driver, &exit)), outward)
    })
}

/// A cancellation for the asyncio task, which keeps it. The handler's own would bring its frames, and they often hold the
/// task (`asyncio.timeout` does): a cycle that would keep the request until the collector comes.
fn without_frames(py: Python<'_>, cancelled: &PyErr) -> PyErr {
    match cancelled.value(py).getattr(intern!(py, "args")).and_then(|args| Ok(args.cast_into::<PyTuple>()?)) {
        Ok(args) => CancelledError::new_err(args.unbind()),
        Err(_) => CancelledError::new_err(()),
    }
}
