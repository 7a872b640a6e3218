//! The protocol of one engine as a Python object: its options, checked, and the way from a head to an exchange.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode, header};
use pybridge::extension::ServedEngine;
use pybridge_http::{
    AnswerBody, Api, Observer, Page, Protocol, ProtocolOptions, Route, live_page, metrics_page, metrics_text,
    ready_page,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::exchange::PyExchange;
use super::head::{is_as_escaped, request_head};

/// Adds what `pybridge.asgi` uses to the extension module.
///
/// # Errors
/// The module does not take the names.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyProtocol>()?;
    module.add_class::<PyExchange>()
}

/// What an HTTP application of one engine promises; see `PooledEngine.asgi` for the options.
#[python_entry]
#[pyclass(frozen, name = "HttpProtocol", module = "pybridge._pybridge")]
pub(crate) struct PyProtocol {
    engine: Arc<ServedEngine>,
    protocol: Protocol,
    observer: Observer,
}

pub(super) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[python_entry]
#[pymethods]
impl PyProtocol {
    /// Raises `ValueError(option, reason)` for an option that cannot be.
    #[new]
    #[pyo3(signature = (
        engine, *, openai, path, models, health, metrics, max_body, max_timeout, commit_after, keepalive, flush_interval,
        pass_headers
    ))]
    #[expect(clippy::too_many_arguments, reason = "called by pybridge.asgi only, by keyword")]
    fn new(
        engine: &Bound<'_, PyAny>,
        openai: bool,
        path: Option<String>,
        models: Vec<String>,
        health: bool,
        metrics: bool,
        max_body: usize,
        max_timeout: f64,
        commit_after: f64,
        keepalive: f64,
        flush_interval: f64,
        pass_headers: Vec<String>,
    ) -> PyResult<Self> {
        let refused = |option: &'static str, reason: String| PyValueError::new_err((option, reason));
        let name = |name: &String| {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| refused("pass_headers", format!("{name:?} is no name of a header")))
        };
        if let Some(path) = path.as_ref().filter(|path| path.contains('%') && !is_as_escaped(path)) {
            return Err(refused("path", format!("{path:?} escapes what need not be, and would not be found")));
        }
        let engine = ServedEngine::of(engine)?;
        let options = ProtocolOptions::default()
            .api(if openai { Api::OpenAi } else { Api::Generic })
            .path(path)
            .models(models)
            .health(health)
            .metrics(metrics)
            .max_body(max_body)
            .max_timeout(seconds(max_timeout)?)
            .commit_after(seconds(commit_after)?)
            .keep_alive(seconds(keepalive)?)
            .flush_interval(seconds(flush_interval)?)
            .pass_headers(pass_headers.iter().map(name).collect::<PyResult<Vec<_>>>()?);
        let protocol = Protocol::new(options, engine.profile())
            .map_err(|error| refused(error.option(), error.reason().to_owned()))?;
        let observer = Observer::new(engine.name());
        Ok(Self { engine: Arc::new(engine), protocol, observer })
    }

    /// The exchange that a request begins: its method, the path below the application's root, decoded, and its headers as
    /// pairs of bytes.
    fn exchange(&self, method: &str, path: &Bound<'_, PyString>, headers: &Bound<'_, PyAny>) -> PyResult<PyExchange> {
        let Some(head) = request_head(method, &path.to_string_lossy(), headers)? else {
            let mut refused = Response::new(Bytes::new());
            *refused.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Ok(PyExchange::answered(refused.map(AnswerBody::from)));
        };
        let engine = Arc::clone(&self.engine);
        Ok(match self.protocol.route(&head) {
            Route::Call(incoming) => {
                let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
                PyExchange::begun(engine, incoming, declared, self.observer.begin(&head))
            }
            Route::Page(page) => {
                let page = match page {
                    Page::Live => live_page(Duration::from_secs_f64(self.engine.stalled_ms() / 1000.0)),
                    Page::Ready => ready_page(self.engine.is_serving()),
                    _ => metrics_page(metrics_text()),
                };
                PyExchange::answered(page.map(AnswerBody::from))
            }
            Route::Answer(response) => {
                PyExchange::answered(self.observer.begin(&head).answer(response.map(AnswerBody::from)))
            }
            _ => return Err(PyRuntimeError::new_err("a route of a later version")),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.engine.traverse(&visit)
    }
}
