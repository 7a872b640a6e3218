//! The state machine of a stream: decode the request, call the handler, take its items, close it, end.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::driver::Driver;
use super::ending::{Ending, Failure, FailureKind, Reason};
use super::output::{Output, Verdict};
use super::resume::{Step, awaiter, is_awaitable, is_end, send_none, throw};
use super::source::{Asked, Source};
use super::start::{Request, RequestCodec, StartRequest};
use super::timers;
use crate::codec::Decoder;
use crate::engine::PyEngine;
use crate::error;
use crate::fault;
use crate::log;
use crate::worker::{Deferred, Here, Port};

/// Input bytes decoded before other tasks get a turn: well under a millisecond of any payload.
const DECODE_STRETCH: usize = 128 << 10;

enum Phase {
    /// Nothing has happened; the handler may still never be called.
    Begin(Request),
    /// An encoded request is being decoded, a stretch per turn.
    Decode(Box<Decoder>, usize),
    /// Waiting for what the handler's coroutine returns.
    Await,
    /// Taking items.
    Iterate,
    /// `aclose()` runs; then this ending, and this error for the asyncio task.
    Close(Ending, Option<PyErr>),
    Done,
}

/// What is resumed when the task goes on.
enum Pending {
    Awaitable(Py<PyAny>),
    /// The handler's generator, which waits itself.
    Generator,
}

/// What the task gets from a step.
type Turn<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// Goes on (`None`), or returns to the task.
type Flow<'py> = Option<Turn<'py>>;

pub(super) struct Drive {
    phase: Phase,
    source: Option<Source>,
    pending: Option<Pending>,
    output: Output,
    engine: Py<PyEngine>,
    unary: bool,
    wants_context: bool,
    /// A cancellation has been thrown into the handler.
    thrown: bool,
}

impl Drive {
    pub(super) fn new(
        py: Python<'_>,
        port: &Bound<'_, Port>,
        start: StartRequest,
        engine: &Bound<'_, PyEngine>,
    ) -> PyResult<Self> {
        let settings = engine.get();
        let output = Output::new(py, port.get(), &start, settings)?;
        Ok(Self {
            phase: Phase::Begin(start.request),
            source: None,
            pending: None,
            output,
            unary: settings.unary,
            wants_context: settings.wants_context,
            engine: engine.clone().unbind(),
            thrown: false,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// One step of the task: until the handler waits, credit is used up, others should run, or the end.
    pub(super) fn run<'py>(&mut self, driver: &Bound<'py, Driver>, mut input: Option<PyErr>) -> Turn<'py> {
        let py = driver.py();
        fault::reach(fault::Point::Step);
        self.output.pacer.begin();
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
                (Some(Pending::Generator), None) => match self.source.as_ref().map(|source| source.resume(py)) {
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
    fn advance<'py>(&mut self, driver: &Bound<'py, Driver>) -> Flow<'py> {
        if matches!(self.phase, Phase::Iterate) {
            return self.iterate(driver);
        }
        match mem::replace(&mut self.phase, Phase::Done) {
            Phase::Begin(request) => self.begin(driver, request),
            Phase::Decode(decoder, encoded) => self.decode(driver, decoder, encoded),
            Phase::Done => Some(Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"))),
            Phase::Iterate | Phase::Await | Phase::Close(..) => unreachable!("handled above, or something is pending"),
        }
    }

    /// Takes items while they are ready.
    fn iterate<'py>(&mut self, driver: &Bound<'py, Driver>) -> Flow<'py> {
        let py = driver.py();
        let here = Here::now();
        loop {
            let Some(source) = &mut self.source else { unreachable!("set before the phase") };
            let (awaitable, step) = match source.ask(py) {
                Ok(Asked::Itself(step)) => (None, step),
                Ok(Asked::Awaitable(awaitable, step)) => (Some(awaitable), step),
                Err(error) => return self.on_error(driver, error),
            };
            match step {
                Step::Returned(item) => {
                    drop(awaitable);
                    match self.output.item(driver, here, &item, self.thrown) {
                        Verdict::Next => {}
                        verdict => return self.after_item(driver, verdict),
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
    ) -> Flow<'py> {
        match step {
            Step::Waits(object) => {
                self.pending =
                    Some(awaitable.map_or(Pending::Generator, |awaitable| Pending::Awaitable(awaitable.unbind())));
                self.output.leave_step(driver);
                Some(Ok(Some(object)))
            }
            Step::Raised(error) => self.on_error(driver, error),
            Step::Ended => self.on_end(driver),
            Step::Returned(value) => {
                drop(awaitable);
                if matches!(self.phase, Phase::Iterate) {
                    let verdict = self.output.item(driver, Here::now(), &value, self.thrown);
                    return self.after_item(driver, verdict);
                }
                match mem::replace(&mut self.phase, Phase::Done) {
                    Phase::Await if self.unary => match self.output.item(driver, Here::now(), &value, self.thrown) {
                        Verdict::Failed(error) => self.fail(driver, &error),
                        _ => self.on_end(driver),
                    },
                    Phase::Await => self.adopt(driver, &value, true),
                    Phase::Close(ending, outward) => self.finish(driver, ending, outward),
                    Phase::Begin(_) | Phase::Decode(..) | Phase::Iterate | Phase::Done => {
                        unreachable!("nothing is pending in these phases")
                    }
                }
            }
        }
    }

    fn after_item<'py>(&mut self, driver: &Bound<'py, Driver>, verdict: Verdict) -> Flow<'py> {
        match verdict {
            Verdict::Next => None,
            Verdict::Yield => {
                self.output.leave_step(driver);
                Some(Ok(Some(driver.py().None().into_bound(driver.py()))))
            }
            Verdict::NoCredit => match self.output.wait_for_credit(driver) {
                Ok(Some(future)) => Some(Ok(Some(future))),
                Ok(None) => None,
                Err(error) => self.fail(driver, &error),
            },
            Verdict::Failed(error) => self.fail(driver, &error),
            Verdict::Detached => {
                let reason = driver.get().core.note_external();
                self.close(driver, Ending::cancelled(reason), None)
            }
        }
    }

    fn begin<'py>(&mut self, driver: &Bound<'py, Driver>, request: Request) -> Flow<'py> {
        let py = driver.py();
        if let Err(error) = crate::context::enter(py, driver) {
            return self.fail(driver, &error);
        }
        match request {
            Request::Object(object) => self.call(driver, object.into_inner(py)),
            Request::Encoded(bytes, codec) => {
                let engine = self.engine.get();
                let spec = match codec {
                    RequestCodec::Engine => Arc::clone(&engine.spec),
                    RequestCodec::Plain(spec) => spec,
                };
                let encoded = bytes.len();
                let decoder = Decoder::new(spec, Arc::clone(&engine.core.limits), bytes);
                self.decode(driver, Box::new(decoder), encoded)
            }
        }
    }

    fn decode<'py>(&mut self, driver: &Bound<'py, Driver>, mut decoder: Box<Decoder>, encoded: usize) -> Flow<'py> {
        let py = driver.py();
        match decoder.run(py, DECODE_STRETCH) {
            Ok(None) => {
                self.phase = Phase::Decode(decoder, encoded);
                Some(Ok(Some(py.None().into_bound(py))))
            }
            Ok(Some(request)) => {
                let core = &driver.get().core;
                core.engine.charge_decoded(core, encoded, decoder.decoded_bytes());
                drop(decoder);
                self.call(driver, request)
            }
            Err(error) => {
                drop(decoder);
                let error = error.into_py(py);
                let mut failure = failure(driver, &error);
                failure.kind = FailureKind::Decode;
                self.finish(driver, Ending::Raised(Box::new(failure)), None)
            }
        }
    }

    /// Calls the handler; the request is the handler's from here on.
    fn call<'py>(&mut self, driver: &Bound<'py, Driver>, request: Py<PyAny>) -> Flow<'py> {
        let py = driver.py();
        let handler = self.engine.get().handler(py).into_bound(py);
        let result = if self.wants_context {
            driver.get().context(py).and_then(|context| {
                let keywords = pyo3::types::PyDict::new(py);
                keywords.set_item(intern!(py, "context"), context)?;
                handler.call((request,), Some(&keywords))
            })
        } else {
            handler.call1((request,))
        };
        match result {
            Ok(value) => self.adopt(driver, &value, false),
            Err(error) => self.on_error(driver, error),
        }
    }

    /// Takes what the handler (or its coroutine, if `awaited`) returned as the source of items.
    fn adopt<'py>(&mut self, driver: &Bound<'py, Driver>, value: &Bound<'py, PyAny>, awaited: bool) -> Flow<'py> {
        if !self.unary || awaited {
            match Source::of(value) {
                Ok(Some(source)) => {
                    *driver.get().generator.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                        Some(source.object(driver.py()).clone().unbind());
                    self.source = Some(source);
                    self.phase = Phase::Iterate;
                    return None;
                }
                Ok(None) => {}
                Err(error) => return self.fail(driver, &error),
            }
        }
        if !awaited && is_awaitable(value) {
            return match awaiter(value.clone()) {
                Ok(pending) => {
                    self.pending = Some(Pending::Awaitable(pending.unbind()));
                    self.phase = Phase::Await;
                    None
                }
                Err(error) => self.fail(driver, &error),
            };
        }
        let error = PyTypeError::new_err(error::wrong_result(value, awaited, self.unary));
        self.fail(driver, &error)
    }

    /// Raises in a handler that is parked at a `yield`, or whose generator waits itself, or that has not begun.
    fn throw_parked<'py>(&mut self, driver: &Bound<'py, Driver>, error: PyErr) -> Flow<'py> {
        let py = driver.py();
        driver.get().core.queue.unpause();
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
    fn cut_short(&self, driver: &Bound<'_, Driver>) -> Option<Reason> {
        driver.get().core.cancel_reason().filter(|_| self.thrown || self.output.discarded)
    }

    /// The handler's generator ran out.
    fn on_end<'py>(&mut self, driver: &Bound<'py, Driver>) -> Flow<'py> {
        let ending = self.cut_short(driver).map_or(Ending::Finished, Ending::cancelled);
        self.finish(driver, ending, None)
    }

    /// The handler, or the way to it, raised.
    fn on_error<'py>(&mut self, driver: &Bound<'py, Driver>, error: PyErr) -> Flow<'py> {
        let py = driver.py();
        let core = &driver.get().core;
        match mem::replace(&mut self.phase, Phase::Done) {
            Phase::Close(mut ending, outward) => {
                self.note_close_error(driver, &mut ending, &error);
                return self.finish(driver, ending, outward);
            }
            Phase::Iterate if is_end(py, &error) => return self.on_end(driver),
            Phase::Done => return Some(Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"))),
            _ => {}
        }
        if error.is_instance_of::<CancelledError>(py) {
            let reason = core.cancel_reason().unwrap_or_else(|| core.note_external());
            let outward = without_frames(py, &error);
            drop(error);
            return self.end_early(driver, Ending::cancelled(reason), Some(outward));
        }
        if error::is_exit(py, &error) {
            let exit = error::Class::HandlerExit.error(py, (error.to_string(),));
            exit.set_cause(py, Some(error.clone_ref(py)));
            let failure = failure(driver, &exit);
            let outward = (!driver.get().port.get().is_dedicated()).then_some(error);
            return self.end_early(driver, Ending::Raised(Box::new(failure)), outward);
        }
        if let Some(reason) = self.cut_short(driver) {
            let mut ending = Ending::cancelled(reason);
            self.note_close_error(driver, &mut ending, &error);
            return self.end_early(driver, ending, None);
        }
        let failure = failure(driver, &error);
        self.end_early(driver, Ending::Raised(Box::new(failure)), None)
    }

    /// The source raised: a generator is done by that, any other iterator is closed if it can be.
    fn end_early<'py>(&mut self, driver: &Bound<'py, Driver>, ending: Ending, outward: Option<PyErr>) -> Flow<'py> {
        if self.source.as_ref().is_some_and(|source| !source.is_generator()) {
            self.close(driver, ending, outward)
        } else {
            self.finish(driver, ending, outward)
        }
    }

    /// Ends the stream with `error`, after the generator has been closed.
    fn fail<'py>(&mut self, driver: &Bound<'py, Driver>, error: &PyErr) -> Flow<'py> {
        let failure = failure(driver, error);
        self.close(driver, Ending::Raised(Box::new(failure)), None)
    }

    /// Runs `aclose()` where there is one, then ends with `ending`.
    fn close<'py>(&mut self, driver: &Bound<'py, Driver>, mut ending: Ending, outward: Option<PyErr>) -> Flow<'py> {
        let py = driver.py();
        self.phase = Phase::Done;
        if let Some(source) = self.source.take()
            && let Ok(aclose) = source.object(py).getattr(intern!(py, "aclose"))
        {
            match aclose.call0().and_then(awaiter) {
                Ok(pending) => {
                    self.pending = Some(Pending::Awaitable(pending.unbind()));
                    timers::start_grace(&driver.get().core, ending.clone());
                    self.phase = Phase::Close(ending, outward);
                    return None;
                }
                Err(error) => self.note_close_error(driver, &mut ending, &error),
            }
        }
        self.finish(driver, ending, outward)
    }

    /// The last thing a driver does: hands everything over, gives everything back. `outward` goes to the asyncio task.
    #[expect(clippy::unnecessary_wraps, reason = "what every step gives")]
    fn finish<'py>(&mut self, driver: &Bound<'py, Driver>, ending: Ending, outward: Option<PyErr>) -> Flow<'py> {
        self.phase = Phase::Done;
        self.pending = None;
        self.source = None;
        let generator = driver.get().generator.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(generator);
        self.output.finish(driver, ending);
        Some(outward.map_or(Ok(None), Err))
    }

    /// The handler raised although its stream had an ending already, which stands: a cancellation keeps the exception.
    fn note_close_error(&mut self, driver: &Bound<'_, Driver>, ending: &mut Ending, error: &PyErr) {
        let py = driver.py();
        let core = &driver.get().core;
        if error.is_instance_of::<PyRuntimeError>(py) && error.to_string().contains("ignored GeneratorExit") {
            self.output.note_ignored(core);
        } else {
            core.engine.metrics.close_error.fetch_add(1, Ordering::Relaxed);
        }
        if let Ending::Cancelled(cancellation) = ending {
            cancellation.context =
                Some(Arc::new(Deferred::new(error.value(py).clone().into_any().unbind(), Arc::clone(&core.home))));
        }
        let text = format!("request {}: the handler failed while it was closed", core.request_id());
        log::warning(py, "stream", &text, error);
    }

    /// After a panic: the stream ends as an internal failure, the generator is closed, the worker lives.
    pub(super) fn fail_internally<'py>(&mut self, driver: &Bound<'py, Driver>) -> Turn<'py> {
        self.output.rewind();
        self.pending = None;
        match self.close(driver, Ending::Raised(Box::new(Failure::panicked())), None) {
            Some(turn) => turn,
            None => self.run(driver, None),
        }
    }
}

/// A cancellation for the asyncio task, which keeps it. The handler's own would bring its frames, and they often hold the
/// task (`asyncio.timeout` does): a cycle that would keep the request until the collector comes.
fn without_frames(py: Python<'_>, cancelled: &PyErr) -> PyErr {
    match cancelled.value(py).getattr(intern!(py, "args")).and_then(|args| Ok(args.cast_into::<PyTuple>()?)) {
        Ok(args) => CancelledError::new_err(args.unbind()),
        Err(_) => CancelledError::new_err(()),
    }
}

fn failure(driver: &Bound<'_, Driver>, error: &PyErr) -> Failure {
    let home = Arc::clone(&driver.get().core.home);
    error::failure_of(driver.py(), error, |object| Deferred::new(object, home))
}
