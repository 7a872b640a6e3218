//! One request and its answer, as an ASGI application sees them.

use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use bytes::Bytes;
use http::Response;
use pybridge::extension::{Polled, ServedEngine, coroutine, take_chunks};
use pybridge::{FailureKind, Format, Framing, Reason, RequestBody};
use pybridge_base::lock::{Mutex, MutexGuard, lock};
use pybridge_http::{AnswerBody, Incoming, Plain, Record};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::asgi_answer::{Answer, Part};
use super::options::seconds;

/// A request whose body is still to come.
struct Receiving {
    engine: Arc<ServedEngine>,
    incoming: Incoming,
    body: RequestBody,
    record: Record,
}

/// One request, from its head on, and its answer.
#[python_entry]
#[pyclass(frozen, name = "HttpExchange", module = "pybridge._pybridge", weakref)]
#[derive(Default)]
pub(crate) struct PyExchange {
    receiving: Mutex<Option<Receiving>>,
    answer: OnceLock<Answer>,
}

impl PyExchange {
    /// One that is answered already.
    pub(super) fn answered(response: Response<AnswerBody>) -> Self {
        let exchange = Self::default();
        exchange.respond(response);
        exchange
    }

    /// One whose head fits; `declared`: the length of its body, if that is known.
    pub(super) fn begun(
        engine: Arc<ServedEngine>,
        incoming: Incoming,
        declared: Option<usize>,
        record: Record,
    ) -> Self {
        let exchange = Self::default();
        match engine.request_body(declared, incoming.max_body()) {
            Ok(body) => *exchange.receiving() = Some(Receiving { engine, incoming, body, record }),
            Err(_) => exchange.refuse(incoming.too_large(), record),
        }
        exchange
    }

    fn receiving(&self) -> MutexGuard<'_, Option<Receiving>> {
        lock(&self.receiving)
    }

    fn respond(&self, response: Response<AnswerBody>) {
        drop(self.answer.set(Answer::ready(response)));
    }

    fn refuse(&self, response: Response<Bytes>, record: Record) {
        self.respond(record.answer(response.map(AnswerBody::from)));
    }
}

#[python_entry]
#[pymethods]
impl PyExchange {
    /// One that answers with a stream of chunks that nobody has read from, made by `Engine.open`; starts it. `framing` is the
    /// stream's; `format`: the items', where that decides the type of the answer.
    #[staticmethod]
    #[pyo3(signature = (stream, framing, *, format, commit_after, keepalive, flush_interval, request_id))]
    fn of_stream(
        stream: &Bound<'_, PyAny>,
        framing: &str,
        format: Option<&str>,
        commit_after: f64,
        keepalive: f64,
        flush_interval: f64,
        request_id: Option<String>,
    ) -> PyResult<Self> {
        let mut plain = Plain::new(Framing::from_name(framing).unwrap_or_default());
        plain.codec = format.and_then(Format::from_name);
        plain.commit_after = seconds(commit_after)?;
        plain.keep_alive = seconds(keepalive)?;
        plain.flush_interval = seconds(flush_interval)?;
        plain.request_id = request_id;
        let answer = Answer::of(take_chunks(stream), |started| plain.answer(started));
        Ok(Self { receiving: Mutex::new(None), answer: answer.into() })
    }

    /// True while the body of the request is to be given to `receive`.
    #[getter]
    fn receives(&self) -> bool {
        self.receiving().is_some()
    }

    /// Takes a piece of the body; `more`: others follow. With the last one the handler is called, in a copy of the context that
    /// is current.
    #[pyo3(signature = (piece, more))]
    fn receive(&self, py: Python<'_>, piece: PyBackedBytes, more: bool) {
        let mut receiving = self.receiving();
        let Some(Receiving { engine, incoming, mut body, record }) = receiving.take() else { return };
        if let Err(error) = body.push(&piece) {
            drop(receiving);
            let is_long = error.kind() == Some(FailureKind::TooLarge);
            self.refuse(if is_long { incoming.too_large() } else { incoming.refused(error) }, record);
            return;
        }
        if more {
            *receiving = Some(Receiving { engine, incoming, body, record });
            return;
        }
        drop(receiving);
        match incoming.body(body.finish()) {
            Err(response) => self.refuse(response, record),
            Ok(mut prepared) => {
                let (body, options) = (std::mem::take(&mut prepared.body), std::mem::take(&mut prepared.options));
                let started = engine.chunks(py, body, prepared.framing, options);
                let answer = Answer::of(started, |started| {
                    let answer = prepared.answer(started);
                    async move { record.answer(answer.await) }
                });
                drop(self.answer.set(answer));
            }
        }
    }

    /// Status and headers, `(status, [(name, value), …])`. Suspends until they are decided.
    fn head(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), Next(slf.unbind(), Part::Head))
    }

    /// The next piece of the answer's body, None after the last. Suspends until there is one. Raises what the answer breaks off
    /// with.
    fn read(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), Next(slf.unbind(), Part::Piece))
    }

    /// True once no piece follows.
    #[getter]
    fn is_whole(&self) -> bool {
        self.answer.get().is_some_and(Answer::is_whole)
    }

    /// True when a piece is there right after the head.
    #[getter]
    fn has_piece(&self) -> bool {
        self.answer.get().is_some_and(Answer::has_piece)
    }

    /// True once it was given up.
    #[getter]
    fn is_abandoned(&self) -> bool {
        self.answer.get().is_none_or(Answer::is_abandoned)
    }

    /// Cancels the handler with this reason, `"client"` or `"caller"`, and gives up what has not been sent.
    fn abandon(&self, reason: &str) -> PyResult<()> {
        let reason = Reason::from_name(reason).ok_or_else(|| PyValueError::new_err("no such reason"))?;
        let unread = self.receiving().take();
        drop(unread);
        if let Some(answer) = self.answer.get() {
            answer.abandon(reason);
        }
        Ok(())
    }

    /// Suspends until the handler has ended.
    fn ended(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), Next(slf.unbind(), Part::Ending))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.receiving.try_lock().as_deref() {
            Ok(Some(receiving)) => receiving.engine.traverse(&visit),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

/// The next part of an exchange's answer, awaited.
struct Next(Py<PyExchange>, Part);

impl Polled for Next {
    fn name(&self) -> &'static str {
        match self.1 {
            Part::Head => "HttpExchange.head",
            Part::Piece => "HttpExchange.read",
            Part::Ending => "HttpExchange.ended",
        }
    }

    fn poll<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let Some(answer) = self.0.get().answer.get() else {
            return Poll::Ready(Err(PyRuntimeError::new_err("the request has not been read")));
        };
        answer.poll(py, self.1, waker.unwrap_or(Waker::noop()))
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}
