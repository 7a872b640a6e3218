//! Streams as Python consumers see them: items, frames or chunks, on any event loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::awaitable::{Awaited, Goal};
use super::batch_cursor::BatchCursor;
use super::flush_interval::FlushInterval;
use super::frame::PyFrame;
use super::kept_frame_limit::may_keep;
use super::read_results::{chunk_of, item_of, raise_ending};
use super::reader_tasks::Readers;
use crate::base::deferred_release::LoopOwned;
use crate::base::lock::{Mutex, MutexGuard, lock};
use crate::codec::CodecSpec;
use crate::error::Reason;
use crate::error::py_errors::Class;
use crate::state::{ConsumerKind, Ending, EngineState, StreamState};
use crate::worker::LoopWorker;

/// A call that is not a stream yet.
pub(crate) trait Unopened: Send + Sync {
    /// Starts the stream for a consumer of this kind.
    ///
    /// # Errors
    /// Why it is refused.
    fn open(self: Box<Self>, py: Python<'_>, consumer: ConsumerKind) -> PyResult<Opened<'_>>;

    /// Shows the collector what it refers to.
    ///
    /// # Errors
    /// Those of the collector.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// A stream that was started, and the worker of the loop that runs here, if one does.
pub(crate) type Opened<'py> = (Arc<StreamState>, Option<Bound<'py, LoopWorker>>);

/// What `__anext__` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemForm {
    /// Values decoded from their frames.
    Items,
    /// Frames.
    Frames,
    /// All frames that are there, framing included, as one `bytes`.
    Chunks,
}

enum State {
    New(Box<dyn Unopened>),
    /// `start` is at work, with the lock released.
    Starting,
    Open {
        stream: Arc<StreamState>,
        cursor: BatchCursor,
        /// `None`: each chunk leaves as it crosses.
        gather: Option<Box<FlushInterval>>,
    },
    /// Nothing more is read. The stream may still be on its way to its ending.
    Closed(Weak<StreamState>),
}

/// An async iterator over what a handler yields. It starts at its first `__anext__` or `__aenter__`.
///
/// Raises what the handler raised, or one of `pybridge`'s errors. One reader at a time, from any event loop.
#[pyclass(frozen, name = "Stream", module = "pybridge._pybridge", weakref)]
pub(crate) struct PyStream {
    state: Mutex<State>,
    kind: ItemForm,
    spec: Arc<CodecSpec>,
    /// The engine's Python object, kept alive.
    object: Py<PyAny>,
    engine: Arc<EngineState>,
    /// Shortest time between two chunks.
    flush_interval: Duration,
    pub(crate) readers: Readers,
    /// The coroutine of the last read, which is done: the next one's if nobody else has it. It refers to nothing.
    spare: Mutex<Option<Py<Awaited>>>,
    /// The name that the caller gave the request, and the number that the stream got when it started (else 0).
    request_id: Option<String>,
    number: AtomicU64,
}

impl PyStream {
    pub(crate) fn new(
        call: Box<dyn Unopened>,
        object: Py<PyAny>,
        engine: Arc<EngineState>,
        request_id: Option<String>,
        kind: ItemForm,
        spec: Arc<CodecSpec>,
        flush_interval: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(State::New(call)),
            kind,
            spec,
            object,
            engine,
            flush_interval,
            readers: Readers::default(),
            spare: Mutex::new(None),
            request_id,
            number: AtomicU64::new(0),
        }
    }

    /// What it gives, for whom, and how far it is; waits for nobody.
    pub(crate) fn describe(&self) -> String {
        let kind = match self.kind {
            ItemForm::Items => "items",
            ItemForm::Frames => "frames",
            ItemForm::Chunks => "chunks",
        };
        let state = match self.state.try_lock().as_deref() {
            Ok(State::New(_)) => "not started",
            Ok(State::Open { stream, .. }) if stream.queue.has_ended() => "ended, not all of it read",
            Ok(State::Open { .. }) => "live",
            Ok(State::Closed(_)) => "closed",
            Ok(State::Starting) | Err(_) => "busy",
        };
        let request = match (&self.request_id, self.number.load(Ordering::Relaxed)) {
            (Some(name), _) => format!(", request {name}"),
            (None, 0) => String::new(),
            (None, number) => format!(", request {}", StreamState::made_up_name(number)),
        };
        format!("Stream of {kind} in {}{request}: {state}", self.spec.format.name())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What a live or unread stream shares with its handler's side.
    pub(crate) fn open_stream(&self) -> Option<Arc<StreamState>> {
        match &*self.state() {
            State::Open { stream, .. } => Some(Arc::clone(stream)),
            State::New(_) | State::Starting | State::Closed(_) => None,
        }
    }

    /// The name of its engine.
    pub(crate) fn engine_name(&self) -> &str {
        &self.engine.name
    }

    /// Takes the coroutine that [`Self::keep_spare`] has put here.
    pub(crate) fn take_spare(&self) -> Option<Py<Awaited>> {
        lock(&self.spare).take()
    }

    /// Keeps the coroutine of a read that is done.
    pub(crate) fn keep_spare(&self, coroutine: &Bound<'_, Awaited>) {
        let old = lock(&self.spare).replace(coroutine.clone().unbind());
        drop(old);
    }

    /// Starts the stream if it has not been; raises `Overloaded`, `EngineClosed`, `ForkError`. Gives the worker of the loop
    /// that runs here if it was looked up.
    pub(crate) fn start<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, LoopWorker>>> {
        let call = {
            let mut state = self.state();
            if !matches!(*state, State::New(_)) {
                return Ok(None);
            }
            match std::mem::replace(&mut *state, State::Starting) {
                State::New(call) => call,
                other => {
                    *state = other;
                    return Ok(None);
                }
            }
        };
        let gather = FlushInterval::new(self.flush_interval);
        let opened = call.open(py, ConsumerKind::Python);
        let mut state = self.state();
        let abandoned = !matches!(*state, State::Starting);
        let (stream, worker) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                *state = State::Closed(Weak::new());
                return Err(error);
            }
        };
        self.number.store(stream.id, Ordering::Relaxed);
        if abandoned {
            *state = State::Closed(Arc::downgrade(&stream));
            drop(state);
            stream.abandon(Reason::Caller);
        } else {
            *state = State::Open { stream, cursor: BatchCursor::default(), gather };
        }
        Ok(worker)
    }

    /// What is there now, `None` after a clean end; `Pending` after `waker` was noted.
    pub(crate) fn poll<'py>(
        &self,
        py: Python<'py>,
        waker: Option<&Waker>,
    ) -> Poll<PyResult<Option<Bound<'py, PyAny>>>> {
        let mut state = self.state();
        let (stream, cursor) = match &mut *state {
            State::Open { stream, gather: Some(gather), .. } => {
                return match ready!(gather.poll(stream, waker)) {
                    Ok(batches) => {
                        drop(state);
                        Poll::Ready(chunk_of(py, &batches).map(Some))
                    }
                    Err(ending) => Poll::Ready(close(py, state, ending)),
                };
            }
            State::Open { stream, cursor, gather: None } => (stream, cursor),
            State::Starting => {
                return Poll::Ready(Err(PyRuntimeError::new_err("another task is starting this stream")));
            }
            State::New(_) | State::Closed(_) => return Poll::Ready(Ok(None)),
        };
        if cursor.is_empty() {
            match stream.queue.poll(waker) {
                Poll::Pending => {
                    cursor.clear();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(batch)) => cursor.load(batch),
                Poll::Ready(Err(ending)) => return Poll::Ready(close(py, state, ending)),
            }
        }
        let stream = Arc::clone(stream);
        match self.kind {
            ItemForm::Items => {
                let Some(range) = cursor.advance() else { return Poll::Pending };
                let data = cursor.share(range);
                let taken = taken(&stream, cursor);
                drop(state);
                stream.return_credit(taken);
                let item = item_of(py, &stream, &self.spec, &data);
                if item.is_err() {
                    // An error ends the stream for its consumer, so for its handler too.
                    self.abandon(Reason::Caller);
                }
                Poll::Ready(item.map(Some))
            }
            ItemForm::Frames => {
                let Some(range) = cursor.advance() else { return Poll::Pending };
                let bytes = if may_keep(range.len(), cursor.pins()) {
                    cursor.share(range)
                } else {
                    Bytes::copy_from_slice(&cursor.bytes()[range])
                };
                let taken = taken(&stream, cursor);
                drop(state);
                stream.return_credit(taken);
                let frame = PyFrame::new(bytes, Arc::clone(&self.spec), Arc::clone(&stream.engine.limits));
                Poll::Ready(Bound::new(py, frame).map(|frame| Some(frame.into_any())))
            }
            ItemForm::Chunks => {
                let Some(range) = cursor.advance_to_end() else { return Poll::Pending };
                let chunk = PyBytes::new(py, &cursor.bytes()[range]).into_any();
                let taken = cursor.take_due_credit();
                drop(state);
                stream.return_credit(taken);
                Poll::Ready(Ok(Some(chunk)))
            }
        }
    }

    /// The call of a stream that has not been started, which never will be.
    pub(crate) fn take_call(&self) -> Option<Box<dyn Unopened>> {
        let mut state = self.state();
        if !matches!(*state, State::New(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, State::Closed(Weak::new())) {
            State::New(call) => Some(call),
            State::Starting | State::Open { .. } | State::Closed(_) => None,
        }
    }

    /// Asks the handler to stop and drops what is queued.
    pub(crate) fn abandon(&self, reason: Reason) {
        let old = {
            let mut state = self.state();
            let next = match &*state {
                State::Open { stream, .. } => Arc::downgrade(stream),
                State::Closed(stream) => Weak::clone(stream),
                State::New(_) | State::Starting => Weak::new(),
            };
            std::mem::replace(&mut *state, State::Closed(next))
        };
        if let State::Open { stream, mut cursor, .. } = old {
            stream.return_credit(cursor.take_due_credit());
            stream.abandon(reason);
        }
    }

    /// Shows the collector what it refers to.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        match &*state {
            State::New(call) => call.traverse(visit),
            // The frames of an exception that nobody took lead back to the stream if an eager task raised it.
            State::Open { stream, .. } => stream
                .queue
                .peek_ending(|ending| visit.call(ending.exception().and_then(LoopOwned::peek_unshared)))
                .unwrap_or(Ok(())),
            State::Starting | State::Closed(_) => Ok(()),
        }
    }

    /// True while the stream, cancelled because the call it belongs to was, is on its way to its ending.
    pub(crate) fn is_cancelled_with_parent(&self) -> bool {
        match &*self.state() {
            State::Open { stream, .. } => stream.cancel_reason() == Some(Reason::Parent) && !stream.queue.has_ended(),
            State::New(_) | State::Starting | State::Closed(_) => false,
        }
    }

    /// True once the stream has its ending; else `waker` is called when it has.
    pub(crate) fn has_ended_or_wake(&self, waker: &Waker) -> bool {
        match &*self.state() {
            State::Open { stream, .. } => stream.queue.is_over_or_wake(Some(waker)),
            State::New(_) | State::Starting | State::Closed(_) => true,
        }
    }

    /// True once a stream that was abandoned has its ending; else `waker` is called when it has.
    pub(crate) fn is_over_or_wake(&self, waker: Option<&Waker>) -> bool {
        self.closed_stream().is_none_or(|stream| stream.queue.is_over_or_wake(waker))
    }

    /// Whoever has this waker waits for the ending no more.
    pub(crate) fn forget_closer(&self, waker: &Waker) {
        if let Some(stream) = self.open_stream().or_else(|| self.closed_stream()) {
            stream.queue.forget_closer(waker);
        }
    }

    fn closed_stream(&self) -> Option<Arc<StreamState>> {
        match &*self.state() {
            State::Closed(stream) => stream.upgrade(),
            State::New(_) | State::Starting | State::Open { .. } => None,
        }
    }
}

/// The stream is over for its reader; the exception that stands for its ending, if one does.
fn close<'py>(
    py: Python<'py>,
    mut state: MutexGuard<'_, State>,
    ending: Ending,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let old = std::mem::replace(&mut *state, State::Closed(Weak::new()));
    drop(state);
    drop(old);
    raise_ending(py, ending).map_or(Ok(None), Err)
}

/// What was taken, to be counted without a lock; it is due when the batch is out, or when the producer waits for it.
fn taken(stream: &StreamState, cursor: &mut BatchCursor) -> (usize, usize) {
    if cursor.is_empty() || stream.queue.credit.is_paused() { cursor.take_due_credit() } else { (0, 0) }
}

/// A reason that a Python consumer may close with.
struct CloseReason(Reason);

impl FromPyObject<'_, '_> for CloseReason {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let name = given.extract::<&str>().unwrap_or_default();
        if let Some(reason) = [Reason::Caller, Reason::Client].into_iter().find(|reason| reason.as_str() == name) {
            return Ok(Self(reason));
        }
        let text = format!("must be 'caller' or 'client', not {}", given.repr()?);
        Err(Class::Config.error(given.py(), ("reason", text)))
    }
}

#[python_entry]
#[pymethods]
impl PyStream {
    #[classmethod]
    fn __class_getitem__(cls: &Bound<'_, pyo3::types::PyType>, _item: &Bound<'_, PyAny>) -> Py<PyAny> {
        cls.clone().into_any().unbind()
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The next item, frame or chunk. Suspends until there is one.
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Awaited>> {
        Awaited::next(slf)
    }

    /// Starts the stream. Does not suspend.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Awaited>> {
        Awaited::new(slf.py(), Goal::Enter(slf.clone().unbind()))
    }

    /// Ends the stream, as `aclose()`.
    #[pyo3(signature = (*_exc_info))]
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        _exc_info: &Bound<'py, pyo3::types::PyTuple>,
    ) -> PyResult<Bound<'py, Awaited>> {
        Awaited::new(slf.py(), Goal::Close(slf.clone().unbind(), Reason::Caller))
    }

    /// Ends the stream with the reason `caller`, or `client`, which servers give when their peer has gone. Suspends until
    /// its ending, at most for the engine's `cancel_grace`.
    ///
    /// Raises `ConfigError` for another reason.
    #[pyo3(signature = (reason=CloseReason(Reason::Caller)), text_signature = "($self, reason='caller')")]
    fn aclose<'py>(slf: &Bound<'py, Self>, reason: CloseReason) -> PyResult<Bound<'py, Awaited>> {
        Awaited::new(slf.py(), Goal::Close(slf.clone().unbind(), reason.0))
    }

    fn __repr__(&self) -> String {
        format!("<pybridge.{}>", self.describe())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.traverse(&visit)
    }

    fn __clear__(&self) {
        self.abandon(Reason::Caller);
    }
}

#[python_entry]
impl Drop for PyStream {
    fn drop(&mut self) {
        self.abandon(Reason::Caller);
    }
}
