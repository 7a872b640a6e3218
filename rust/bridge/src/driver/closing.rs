//! The close of a stream's generator, after its end, an error or a cancellation, and the one ending that follows.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;

use super::awaitable_step::{awaiter, is_end};
use super::cancellation::asked_to_stop;
use super::coroutine::Driver;
use super::handler_failure::{failure, raised};
use super::state_machine::{Pending, Phase, StateMachine, StepResult, Transition};
use crate::base::deferred_release::LoopOwned;
use crate::base::interpreter::object_of;
use crate::base::lock::lock;
use crate::base::{fault, log};
use crate::error::{Failure, py_errors};
use crate::state::{Cancellation, Ending, cancel_grace};

impl StateMachine {
    /// The handler's generator ran out.
    pub(super) fn on_end<'py>(&mut self, driver: &Bound<'py, Driver>) -> Transition<'py> {
        let ending = self.cut_short(driver).map_or(Ending::Finished, Ending::cancelled);
        self.finish(driver, ending, None)
    }

    /// The handler, or the way to it, raised.
    pub(super) fn on_error<'py>(&mut self, driver: &Bound<'py, Driver>, error: PyErr) -> Transition<'py> {
        let py = driver.py();
        match self.phase {
            Phase::Close(..) => return self.on_closed(driver, Some(&error)),
            Phase::Iterate if is_end(py, &error) => return self.on_end(driver),
            _ => {}
        }
        if let Some((ending, outward)) = asked_to_stop(driver, &error) {
            drop(error);
            return self.end_early(driver, ending, outward);
        }
        if let Some(reason) = self.cut_short(driver) {
            let context = self.note_close_error(driver, &error);
            return self.end_early(driver, Ending::Cancelled(Cancellation { reason, context }), None);
        }
        let ending = raised(driver, failure(driver, &error));
        self.end_early(driver, ending, None)
    }

    /// `aclose()` is over: the ending that waited for it goes out.
    pub(super) fn on_closed<'py>(&mut self, driver: &Bound<'py, Driver>, error: Option<&PyErr>) -> Transition<'py> {
        let context = error.and_then(|error| self.note_close_error(driver, error));
        let Phase::Close(mut ending, outward) = mem::replace(&mut self.phase, Phase::Done) else {
            unreachable!("called in this phase only")
        };
        if let (Ending::Cancelled(cancellation), Some(_)) = (&mut ending, &context) {
            cancellation.context = context;
        }
        self.finish(driver, ending, outward.map(|error| PyErr::from_value(error.into_bound(driver.py()).into_any())))
    }

    /// The source raised: a generator is done by that, any other iterator is closed if it can be.
    fn end_early<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        ending: Ending,
        outward: Option<PyErr>,
    ) -> Transition<'py> {
        if self.source.as_ref().is_some_and(|source| !source.is_generator()) {
            self.close(driver, ending, outward)
        } else {
            self.finish(driver, ending, outward)
        }
    }

    /// Ends the stream with `error`, after the generator has been closed.
    pub(super) fn fail<'py>(&mut self, driver: &Bound<'py, Driver>, error: &PyErr) -> Transition<'py> {
        let (ending, outward) =
            asked_to_stop(driver, error).unwrap_or_else(|| (raised(driver, failure(driver, error)), None));
        self.close(driver, ending, outward)
    }

    /// Runs `aclose()` where there is one, then ends with `ending`.
    ///
    /// From here on only the end of the grace cuts the cleanup short, not another reason to cancel the stream.
    pub(super) fn close<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        ending: Ending,
        outward: Option<PyErr>,
    ) -> Transition<'py> {
        let py = driver.py();
        self.start_closing(driver, ending, outward);
        let Some(mut source) = self.source.take() else { return self.on_closed(driver, None) };
        source.interrupt(py);
        let Ok(aclose) = source.object(py).getattr(intern!(py, "aclose")) else {
            return self.on_closed(driver, None);
        };
        match aclose.call0().and_then(awaiter) {
            Ok(pending) => {
                self.pending = Some(Pending::Awaitable(pending.unbind()));
                None
            }
            Err(error) => self.on_closed(driver, Some(&error)),
        }
    }

    fn start_closing(&mut self, driver: &Bound<'_, Driver>, ending: Ending, outward: Option<PyErr>) {
        let stream = &driver.get().stream;
        stream.note_closing();
        if self.source.is_some() || self.pending.is_some() {
            cancel_grace::start_grace(stream, ending.clone());
        }
        self.phase = Phase::Close(ending, outward.map(|error| error.into_value(driver.py())));
        fault::reach(fault::Point::Close);
    }

    /// The last thing a driver does: hands everything over, gives everything back. `outward` goes to the asyncio task.
    #[expect(clippy::unnecessary_wraps, reason = "what every step gives")]
    pub(super) fn finish<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        ending: Ending,
        outward: Option<PyErr>,
    ) -> Transition<'py> {
        self.phase = Phase::Done;
        self.pending = None;
        self.source = None;
        let generator = lock(&driver.get().generator).take();
        drop(generator);
        self.output.finish(driver, ending);
        Some(outward.map_or(Ok(None), Err))
    }

    /// The handler raised although its stream had an ending already, which stands; a cancellation takes what comes back.
    fn note_close_error(&mut self, driver: &Bound<'_, Driver>, error: &PyErr) -> Option<Arc<LoopOwned>> {
        let py = driver.py();
        let stream = &driver.get().stream;
        if py_errors::is_only_the_close(py, error) || (self.thrown && error.is_instance_of::<CancelledError>(py)) {
            return None;
        }
        if error.is_instance_of::<PyRuntimeError>(py) && error.to_string().contains("ignored GeneratorExit") {
            self.output.count_ignored(stream);
        } else {
            stream.engine.metrics.close_error.fetch_add(1, Ordering::Relaxed);
        }
        let text = format!("request {}: the handler failed while it was closed", stream.request_id());
        log::warning(py, "stream", &text, error);
        Some(Arc::new(LoopOwned::new(object_of(py, error), stream.owner())))
    }

    /// After a panic: the stream ends as an internal failure, the handler is closed, the worker lives.
    pub(super) fn fail_internally<'py>(&mut self, driver: &Bound<'py, Driver>) -> StepResult<'py> {
        let ending = match self.phase {
            Phase::Done | Phase::Close(..) => Ending::Raised(Box::new(Failure::panicked())),
            _ => raised(driver, Failure::panicked()),
        };
        let (flow, input) = match (&self.phase, &self.pending) {
            (Phase::Done, _) => (self.finish(driver, ending, None), None),
            // The cleanup goes on, to the ending that it has.
            (Phase::Close(..), Some(_)) => (None, None),
            (Phase::Close(..), None) => (self.on_closed(driver, None), None),
            (_, Some(Pending::Awaitable(_))) => {
                self.start_closing(driver, ending, None);
                // Not `GeneratorExit`: that would not reach a generator that the awaitable itself waits for.
                (None, Some(CancelledError::new_err(())))
            }
            _ => {
                self.pending = None;
                (self.close(driver, ending, None), None)
            }
        };
        flow.unwrap_or_else(|| self.run(driver, input))
    }

    /// After a panic on the way to the ending: the stream ends as an internal failure, whatever becomes of the handler.
    pub(super) fn give_up(&mut self, driver: &Bound<'_, Driver>) {
        self.phase = Phase::Done;
        self.pending = None;
        self.source = None;
        let stream = &driver.get().stream;
        stream.deliver_ending(Ending::Raised(Box::new(Failure::panicked())));
        stream.release();
        driver.get().worker.get().forget(stream);
    }
}
