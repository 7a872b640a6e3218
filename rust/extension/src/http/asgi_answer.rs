//! An answer on its way: its head, the pieces of its body, and its end, each awaited on the event loop.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::Response;
use http_body::Body;
use pybridge::{Canceller, ChunkStream, Reason, StreamError};
use pybridge_base::lock::{Mutex, MutexGuard, lock};
use pybridge_http::AnswerBody;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::asgi_heads::answer_head;

type Head = Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>;

/// Where an answer is.
enum Stage {
    Head(Head),
    Body(Box<AnswerBody>),
    /// Somebody looks for the next part.
    Polled,
    /// All of it was given.
    Over,
    /// Nobody wants it any more.
    Abandoned,
}

/// What an exchange answers, and the stream behind it.
pub(super) struct Answer {
    stage: Mutex<Stage>,
    /// Who waits for the next part.
    waiting: Mutex<Option<Waker>>,
    /// `None`: no stream was started.
    stream: Option<Canceller>,
}

impl Answer {
    /// One that is there already.
    pub(super) fn ready(response: Response<AnswerBody>) -> Self {
        Self::new(std::future::ready(response), None)
    }

    /// What `answer` makes of a stream.
    pub(super) fn of<F>(
        started: Result<ChunkStream, StreamError>,
        answer: impl FnOnce(Result<ChunkStream, StreamError>) -> F,
    ) -> Self
    where
        F: Future<Output = Response<AnswerBody>> + Send + 'static,
    {
        let stream = started.as_ref().ok().map(ChunkStream::canceller);
        Self::new(answer(started), stream)
    }

    fn new(head: impl Future<Output = Response<AnswerBody>> + Send + 'static, stream: Option<Canceller>) -> Self {
        Self { stage: Mutex::new(Stage::Head(Box::pin(head))), waiting: Mutex::new(None), stream }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        lock(&self.stage)
    }

    /// The head, as [`answer_head`] gives it; `None` once it was given up.
    fn poll_head<'py>(&self, py: Python<'py>, context: &mut Context<'_>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let mut head = match self.take() {
            Stage::Head(head) => head,
            other => return Poll::Ready(self.put_back(py, other)),
        };
        let Poll::Ready(response) = head.as_mut().poll(context) else {
            self.put(Stage::Head(head));
            return Poll::Pending;
        };
        let head = answer_head(py, &response);
        self.put(Stage::Body(Box::new(response.into_body())));
        Poll::Ready(head)
    }

    /// The next piece of the body; `None` once it is whole, or was given up.
    fn poll_piece<'py>(&self, py: Python<'py>, context: &mut Context<'_>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let mut body = match self.take() {
            Stage::Body(body) => body,
            other => return Poll::Ready(self.put_back(py, other)),
        };
        loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Pending => {
                    self.put(Stage::Body(body));
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        self.put(Stage::Body(body));
                        return Poll::Ready(Ok(PyBytes::new(py, &piece).into_any()));
                    }
                }
                Poll::Ready(Some(Err(interrupted))) => {
                    self.put(Stage::Over);
                    return Poll::Ready(Err(PyRuntimeError::new_err(interrupted.to_string())));
                }
                Poll::Ready(None) => {
                    self.put(Stage::Over);
                    return Poll::Ready(Ok(py.None().into_bound(py)));
                }
            }
        }
    }

    /// Takes the stage for one look, so that nothing is locked meanwhile: Python may run then.
    fn take(&self) -> Stage {
        std::mem::replace(&mut *self.stage(), Stage::Polled)
    }

    /// Sets the stage after a look, unless the answer was given up meanwhile.
    fn put(&self, next: Stage) {
        let mut stage = self.stage();
        let old = if matches!(*stage, Stage::Polled) { std::mem::replace(&mut *stage, next) } else { next };
        drop(stage);
        drop(old);
    }

    /// Leaves a stage in which there is nothing of the part asked for.
    fn put_back<'py>(&self, py: Python<'py>, stage: Stage) -> PyResult<Bound<'py, PyAny>> {
        let is_over = matches!(stage, Stage::Over | Stage::Abandoned);
        if !matches!(stage, Stage::Polled) {
            self.put(stage);
        }
        let nothing = || py.None().into_bound(py);
        is_over.then(nothing).ok_or_else(|| PyRuntimeError::new_err("another part of the answer is due"))
    }

    /// True once the last piece was given, and it was known to be the last.
    pub(super) fn is_whole(&self) -> bool {
        match &*self.stage() {
            Stage::Head(_) | Stage::Polled | Stage::Abandoned => false,
            Stage::Body(body) => body.is_end_stream(),
            Stage::Over => true,
        }
    }

    /// True when the next piece is there.
    pub(super) fn has_piece(&self) -> bool {
        matches!(&*self.stage(), Stage::Body(body) if body.size_hint().lower() > 0)
    }

    /// True once it was given up.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(*self.stage(), Stage::Abandoned)
    }

    /// Cancels the handler, unless the stream has ended, and gives up what has not been sent.
    pub(super) fn abandon(&self, reason: Reason) {
        if let Some(stream) = &self.stream {
            stream.cancel(reason);
        }
        let old = std::mem::replace(&mut *self.stage(), Stage::Abandoned);
        drop(old);
        let waiting = lock(&self.waiting).take();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Notes who waits for the next part.
    fn wait(&self, waker: &Waker) {
        let old = lock(&self.waiting).replace(waker.clone());
        drop(old);
    }

    /// The next look at a part. Whoever has `waker` is woken when another look is due.
    pub(super) fn poll<'py>(&self, py: Python<'py>, part: Part, waker: &Waker) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let context = &mut Context::from_waker(waker);
        let part = match part {
            Part::Head => self.poll_head(py, context),
            Part::Piece => self.poll_piece(py, context),
            Part::Ending => return self.poll_ended(context).map(|()| Ok(py.None().into_bound(py))),
        };
        if part.is_pending() {
            self.wait(waker);
        }
        part
    }

    /// Ready once the stream has its ending.
    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.as_ref().map_or(Poll::Ready(()), |stream| stream.poll_ended(context))
    }
}

/// What of an answer is awaited.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Head,
    Piece,
    Ending,
}
