//! The protocol of one engine as a Python object: its options, checked, and the way from a head to an exchange.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use pybridge::extension::ServedEngine;
use pybridge_http::{AnswerBody, Observer, Page, Protocol, Route, live_page, metrics_page, metrics_text, ready_page};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::asgi_exchange::PyExchange;
use super::asgi_heads::{is_as_escaped, request_head};
use super::options::{protocol_options, refused};
use super::server::PyServer;

/// Adds what `pybridge.asgi` and `pybridge.server` use to the extension module.
///
/// # Errors
/// The module does not take the names.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyProtocol>()?;
    module.add_class::<PyExchange>()?;
    module.add_class::<PyServer>()
}

/// What an HTTP application of one engine promises; see `PooledEngine.asgi` for the options.
#[python_entry]
#[pyclass(frozen, name = "HttpProtocol", module = "pybridge._pybridge")]
pub(crate) struct PyProtocol {
    engine: Arc<ServedEngine>,
    protocol: Protocol,
    observer: Observer,
}

#[python_entry]
#[pymethods]
impl PyProtocol {
    /// `options`: an `HttpOptions`. Raises `ValueError(option, reason)` for an option that cannot be.
    #[new]
    fn new(engine: &Bound<'_, PyAny>, options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options = protocol_options(options)?;
        if let Some(path) = options.path.as_ref().filter(|path| path.contains('%') && !is_as_escaped(path)) {
            return Err(refused("path", format!("{path:?} escapes what need not be, and would not be found")));
        }
        let engine = ServedEngine::of(engine)?;
        let protocol =
            Protocol::new(options, engine.profile()).map_err(|error| refused(error.option(), error.reason()))?;
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
