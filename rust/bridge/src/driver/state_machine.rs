//! The state machine of a stream: decode the request, call the handler, take its items, close it, end.

use std::mem;

use pyo3::exceptions::{PyBaseException, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::awaitable_step::{Step, send_none, throw};
use super::coroutine::Driver;
use super::handler::{Handler, HasHandler};
use super::item_source::{ItemSource, Pulled};
use super::output::{ItemOutcome, Output};
use crate::base::deferred_release::LoopOwned;
use crate::base::fault;
use crate::codec::Decoder;
use crate::error::py_errors;
use crate::state::{Ending, Request, StartRequest};
use crate::worker::{DecodePlace, LoopWorker, TurnQueue};

pub(super) enum Phase {
    /// Nothing has happened; the handler may still never be called.
    Begin(Request),
    /// An encoded request is being decoded, stretch by stretch; with its encoded length, and its place among others.
    Decode(Box<Decoder>, usize, DecodePlace),
    /// The request has been taken: the handler is being called with it.
    Call,
    /// Waiting for what the handler's coroutine returns.
    Await,
    /// Taking items.
    Iterate,
    /// `aclose()` runs; then this ending, and this error for the asyncio task.
    Close(Ending, Option<Py<PyBaseException>>),
    /// The ending has been delivered, or is about to be with no code of the user's in between.
    Done,
}

/// What is resumed when the task goes on.
pub(super) enum Pending {
    Awaitable(Py<PyAny>),
    /// The handler's generator, which waits itself.
    Generator,
}

/// What the task gets from a step.
pub(super) type StepResult<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// Goes on (`None`), or returns to the task.
pub(super) type Transition<'py> = Option<StepResult<'py>>;

/// What is kept until the end.
pub(super) struct KeptAlive {
    /// The engine's Python object: a worker ends when no engine has it.
    engine: Py<PyAny>,
    handler: Handler,
}

pub(super) struct StateMachine {
    pub(super) phase: Phase,
    pub(super) source: Option<ItemSource>,
    pub(super) pending: Option<Pending>,
    pub(super) output: Output,
    kept: Option<KeptAlive>,
    /// A cancellation has been thrown into the handler.
    pub(super) thrown: bool,
}

impl StateMachine {
    pub(super) fn new(
        py: Python<'_>,
        worker: &Bound<'_, LoopWorker>,
        start: StartRequest,
        engine: &impl HasHandler,
    ) -> PyResult<Self> {
        let output = Output::new(worker.get(), &start.stream, engine.encoder(py, &start)?);
        let kept = KeptAlive { engine: start.engine.get(py).clone_ref(py), handler: engine.handler().clone_ref(py) };
        Ok(Self {
            phase: Phase::Begin(start.request),
            source: None,
            pending: None,
            output,
            kept: Some(kept),
            thrown: false,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// True once it has begun, until it is done.
    pub(super) fn is_suspended(&self) -> bool {
        !matches!(self.phase, Phase::Begin(_) | Phase::Done)
    }

    /// What keeps the engine alive, once the stream has ended: to be dropped when nothing is borrowed, since an engine and its
    /// worker may go with it.
    pub(super) fn take_kept_of_ended(&mut self) -> Option<KeptAlive> {
        if self.is_done() { self.kept.take() } else { None }
    }

    pub(super) fn handler(&self) -> &Handler {
        &self.kept.as_ref().expect("kept until the end").handler
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(KeptAlive { engine, handler }) = &self.kept {
            visit.call(engine)?;
            handler.traverse(visit)?;
        }
        self.output.traverse(visit)?;
        visit.call(self.source.as_ref().map(ItemSource::peek))?;
        if let Some(Pending::Awaitable(pending)) = &self.pending {
            visit.call(pending)?;
        }
        match &self.phase {
            Phase::Begin(Request::Object(request)) => visit.call(request.peek()),
            // Until the grace is over its timer owns the ending's exception as well, and nobody shows it.
            Phase::Close(ending, outward) => {
                visit.call(ending.exception().and_then(LoopOwned::peek_unshared))?;
                visit.call(outward)
            }
            _ => Ok(()),
        }
    }

    /// One step of the task: until the handler waits, credit is used up, others should run, or the end.
    pub(super) fn run<'py>(&mut self, driver: &Bound<'py, Driver>, mut input: Option<PyErr>) -> StepResult<'py> {
        if self.is_done() {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        }
        let py = driver.py();
        fault::reach(fault::Point::Step);
        self.output.budget.begin();
        loop {
            let flow = match (self.pending.take(), input.take()) {
                (Some(Pending::Awaitable(pending)), input) => {
                    let pending = pending.into_bound(py);
                    let step = match input {
                        Some(error) => {
                            self.thrown = true;
                            throw(&pending, error)
                        }
                        None => send_none(&pending),
                    };
                    self.on_step(driver, Some(pending), step)
                }
                (Some(Pending::Generator), None) => match self.source.as_mut().map(|source| source.resume(py)) {
                    Some(step) => self.on_step(driver, None, step),
                    None => unreachable!("a source waits"),
                },
                (_, Some(error)) => {
                    self.thrown = true;
                    self.throw_parked(driver, error)
                }
                (None, None) => self.advance(driver),
            };
            if let Some(turn) = flow {
                return turn;
            }
        }
    }

    /// Nothing is pending: make the next thing to wait for.
    fn advance<'py>(&mut self, driver: &Bound<'py, Driver>) -> Transition<'py> {
        if matches!(self.phase, Phase::Iterate) {
            return self.iterate(driver);
        }
        match mem::replace(&mut self.phase, Phase::Call) {
            Phase::Begin(request) => self.begin(driver, request),
            Phase::Decode(decoder, encoded, place) => self.decode(driver, decoder, encoded, Some(place)),
            Phase::Call | Phase::Await | Phase::Iterate | Phase::Close(..) | Phase::Done => {
                unreachable!("something is pending, or nothing is left to do")
            }
        }
    }

    /// Takes items while they are ready.
    fn iterate<'py>(&mut self, driver: &Bound<'py, Driver>) -> Transition<'py> {
        let py = driver.py();
        loop {
            let Some(source) = &mut self.source else { unreachable!("set before the phase") };
            let (awaitable, step) = match source.pull(py) {
                Ok(Pulled::Itself(step)) => (None, step),
                Ok(Pulled::Awaitable(awaitable, step)) => (Some(awaitable), step),
                Err(error) => return self.on_error(driver, error),
            };
            match step {
                Step::Returned(item) => {
                    drop(awaitable);
                    match self.output.item(driver, &item, self.thrown) {
                        ItemOutcome::Next => {}
                        outcome => return self.after_item(driver, outcome),
                    }
                }
                step => return self.on_step(driver, awaitable, step),
            }
        }
    }

    /// What was resumed, the generator itself if there is no `awaitable`, came to `step`.
    fn on_step<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        awaitable: Option<Bound<'py, PyAny>>,
        step: Step<'py>,
    ) -> Transition<'py> {
        match step {
            Step::Waits(object) => {
                self.pending =
                    Some(awaitable.map_or(Pending::Generator, |awaitable| Pending::Awaitable(awaitable.unbind())));
                self.output.end_step(driver);
                Some(Ok(Some(object)))
            }
            Step::Raised(error) => self.on_error(driver, error),
            Step::Ended => self.on_end(driver),
            Step::Returned(value) => {
                drop(awaitable);
                match self.phase {
                    Phase::Iterate => {
                        let outcome = self.output.item(driver, &value, self.thrown);
                        self.after_item(driver, outcome)
                    }
                    Phase::Await if self.handler().unary => match self.output.item(driver, &value, self.thrown) {
                        ItemOutcome::Failed(error) => self.fail(driver, &py_errors::of_value(error, &value)),
                        _ => self.on_end(driver),
                    },
                    Phase::Await => self.adopt(driver, &value, true),
                    Phase::Close(..) => self.on_closed(driver, None),
                    Phase::Begin(_) | Phase::Decode(..) | Phase::Call | Phase::Done => {
                        unreachable!("nothing is pending in these phases")
                    }
                }
            }
        }
    }

    fn after_item<'py>(&mut self, driver: &Bound<'py, Driver>, outcome: ItemOutcome) -> Transition<'py> {
        match outcome {
            ItemOutcome::Next => None,
            ItemOutcome::Yield => {
                self.output.end_step(driver);
                Some(let_others_run(driver))
            }
            ItemOutcome::NoCredit => match self.output.wait_for_credit(driver) {
                Ok(Some(future)) => Some(Ok(Some(future))),
                Ok(None) => None,
                Err(error) => self.fail(driver, &error),
            },
            ItemOutcome::Failed(error) => self.fail(driver, &error),
            ItemOutcome::Detached => {
                let reason = driver.get().stream.note_external();
                self.close(driver, Ending::cancelled(reason), None)
            }
        }
    }
}

/// What the task waits for so that others have their turn.
fn let_others_run<'py>(driver: &Bound<'py, Driver>) -> StepResult<'py> {
    let py = driver.py();
    let worker = driver.get().worker.get();
    if worker.is_alone() {
        return Ok(Some(py.None().into_bound(py)));
    }
    TurnQueue::wait(worker.turns(py)).map(Some)
}
