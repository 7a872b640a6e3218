//! The usual bridge, kept as the reference that benchmarks compare with.
//!
//! Per request: a hop to the blocking pool, attach, `pythonize`, call. Per item: a new asyncio task made by the stream
//! adapter, and one more hop to the blocking pool to attach and `depythonize`. Nothing is left out and nothing is added.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_async_runtimes::TaskLocals;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use pybridge::codec::Format;
use pybridge::extension::attach;

/// Items between the conversion and the consumer, as such bridges have it.
const CHANNEL_DEPTH: usize = 128;

/// Why a stream of a reference bridge failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// The handler raised.
    #[error("{0}")]
    Raised(PyErr),
    /// A value does not fit the Rust type, or the format.
    #[error("conversion failed: {0}")]
    Convert(String),
    /// A task or thread of the bridge went away before the stream ended.
    #[error("the bridge is gone")]
    Gone,
}

impl From<BridgeError> for PyErr {
    fn from(error: BridgeError) -> Self {
        match error {
            BridgeError::Raised(raised) => raised,
            BridgeError::Convert(reason) => PyValueError::new_err(reason),
            BridgeError::Gone => PyRuntimeError::new_err(error.to_string()),
        }
    }
}

/// What a handler that takes a `context` gets.
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
#[derive(Debug)]
pub(crate) struct TraceContext {
    #[pyo3(get)]
    id: String,
    #[pyo3(get)]
    traceparent: Option<String>,
    #[pyo3(get)]
    tracestate: Option<String>,
}

/// A Python handler and the event loop that its generators run on.
#[derive(Debug)]
pub(crate) struct Handler {
    callable: Py<PyAny>,
    locals: TaskLocals,
    takes_context: bool,
    unary: bool,
    calls: AtomicU64,
}

/// What the adapter makes of one async generator, or of one coroutine.
pub(crate) type PyItems = Pin<Box<dyn Stream<Item = PyResult<Py<PyAny>>> + Send>>;

impl Handler {
    /// `event_loop` must be running in a thread of its own for as long as streams live; `unary`: the handler is a
    /// coroutine function that returns one value.
    ///
    /// # Errors
    /// `TypeError`: `callable` cannot be called.
    pub(crate) fn new(callable: &Bound<'_, PyAny>, event_loop: &Bound<'_, PyAny>, unary: bool) -> PyResult<Self> {
        if !callable.is_callable() {
            return Err(PyTypeError::new_err(format!("the handler cannot be called: {}", callable.repr()?)));
        }
        Ok(Self {
            takes_context: takes_context(callable),
            unary,
            callable: callable.clone().unbind(),
            locals: TaskLocals::new(event_loop.clone()),
            calls: AtomicU64::new(0),
        })
    }

    /// Calls the handler with the converted request; the generator becomes a stream with one asyncio task per item, a
    /// coroutine one of a single item with one task.
    pub(crate) fn call<Request: Serialize>(&self, py: Python<'_>, request: &Request) -> PyResult<PyItems> {
        let request = pythonize::pythonize(py, request)?;
        let started = if self.takes_context {
            let keywords = PyDict::new(py);
            keywords.set_item("context", Py::new(py, self.context())?)?;
            self.callable.bind(py).call((request,), Some(&keywords))?
        } else {
            self.callable.bind(py).call1((request,))?
        };
        if self.unary {
            let value = pyo3_async_runtimes::into_future_with_locals(&self.locals, started)?;
            return Ok(Box::pin(stream::once(value)));
        }
        let items = pyo3_async_runtimes::tokio::into_stream_with_locals_v1(self.locals.clone(), started)?;
        Ok(Box::pin(items))
    }

    fn context(&self) -> TraceContext {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        TraceContext { id: format!("{call:032x}"), traceparent: None, tracestate: None }
    }
}

fn takes_context(callable: &Bound<'_, PyAny>) -> bool {
    let look = || -> PyResult<bool> {
        let inspect = callable.py().import("inspect")?;
        let parameters = inspect.call_method1("signature", (callable,))?.getattr("parameters")?;
        if !parameters.contains("context")? {
            return Ok(false);
        }
        let kind = parameters.get_item("context")?.getattr("kind")?;
        Ok(!kind.eq(inspect.getattr("Parameter")?.getattr("POSITIONAL_ONLY")?)?)
    };
    look().unwrap_or(false)
}

/// Bytes into the Rust type that the host works with.
pub(crate) fn decode_request<T: DeserializeOwned>(format: Format, body: &[u8]) -> Result<T, BridgeError> {
    match format {
        Format::Msgpack => rmp_serde::from_slice(body).map_err(convert),
        Format::Json => serde_json::from_slice(body).map_err(convert),
        _ => Err(BridgeError::Convert("the raw codec has no typed values".into())),
    }
}

/// A Rust value into its frame.
pub(crate) fn encode_response<T: Serialize>(format: Format, response: &T) -> Result<Bytes, BridgeError> {
    match format {
        Format::Msgpack => rmp_serde::to_vec_named(response).map(Bytes::from).map_err(convert),
        Format::Json => serde_json::to_vec(response).map(Bytes::from).map_err(convert),
        _ => Err(BridgeError::Convert("the raw codec has no typed values".into())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn convert(error: impl ToString) -> BridgeError {
    BridgeError::Convert(error.to_string())
}

/// The usual bridge between a tokio runtime and one handler.
#[derive(Debug, Clone)]
pub(crate) struct Naive<Request, Response> {
    handler: Arc<Handler>,
    types: PhantomData<fn(Request) -> Response>,
}

/// A bridge from typed requests to typed answers.
pub(crate) trait Bridge: Send + Sync + 'static {
    type Request: DeserializeOwned + Send + 'static;
    type Response: Serialize + Send + 'static;

    /// Starts the handler for one request. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The request cannot be converted, or the handler refuses the call.
    fn generate(
        &self,
        request: Self::Request,
    ) -> impl Future<Output = Result<Responses<Self::Response>, BridgeError>> + Send;
}

impl<Request, Response> Naive<Request, Response>
where
    Request: Serialize + Send + 'static,
    Response: DeserializeOwned + Send + 'static,
{
    /// A bridge to `handler`.
    pub(crate) fn new(handler: Handler) -> Self {
        Self { handler: Arc::new(handler), types: PhantomData }
    }
}

impl<Request, Response> Bridge for Naive<Request, Response>
where
    Request: Serialize + DeserializeOwned + Send + 'static,
    Response: Serialize + DeserializeOwned + Send + 'static,
{
    type Request = Request;
    type Response = Response;

    async fn generate(&self, request: Request) -> Result<Responses<Response>, BridgeError> {
        let handler = Arc::clone(&self.handler);
        let started = tokio::task::spawn_blocking(move || attach(|py| handler.call(py, &request)));
        let mut items = started.await.map_err(|_| BridgeError::Gone)?.map_err(BridgeError::Raised)?;
        let (sender, responses) = Responses::channel();
        tokio::spawn(async move {
            while let Some(item) = items.next().await {
                let response = match item {
                    Ok(item) => depythonize_item(item).await,
                    Err(raised) => Err(BridgeError::Raised(raised)),
                };
                let failed = response.is_err();
                if sender.send(response).await.is_err() || failed {
                    break;
                }
            }
        });
        Ok(responses)
    }
}

async fn depythonize_item<T: DeserializeOwned + Send + 'static>(item: Py<PyAny>) -> Result<T, BridgeError> {
    let converted = tokio::task::spawn_blocking(move || attach(|py| pythonize::depythonize(&item.into_bound(py))));
    converted.await.map_err(|_| BridgeError::Gone)?.map_err(convert)
}

/// The typed answers to one request, in order; ends after the first error.
#[derive(Debug)]
pub(crate) struct Responses<T> {
    receiver: mpsc::Receiver<Result<T, BridgeError>>,
}

impl<T> Responses<T> {
    /// Channel between a bridge and its consumer.
    pub(crate) fn channel() -> (mpsc::Sender<Result<T, BridgeError>>, Self) {
        let (sender, receiver) = mpsc::channel(CHANNEL_DEPTH);
        (sender, Self { receiver })
    }
}

impl<T> Stream for Responses<T> {
    type Item = Result<T, BridgeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}
