//! The handler behind what one writes without pybridge: pyo3-async-runtimes for the stream, pythonize for the values.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use pyo3::prelude::*;
use pyo3_async_runtimes::{TaskLocals, tokio as bridge};

struct Handler {
    callable: Py<PyAny>,
    locals: TaskLocals,
}

pub(crate) fn serve(handler: &str, port: u16) -> Result<(), Box<dyn Error>> {
    Python::initialize();
    let handler = Python::attach(|py| -> PyResult<_> {
        let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
        let run = event_loop.getattr("run_forever")?.unbind();
        std::thread::spawn(move || Python::attach(|py| run.call0(py).map(drop)));
        let callable = py.import("handlers")?.getattr(handler)?.unbind();
        Ok(Handler { callable, locals: TaskLocals::new(event_loop) })
    })?;
    let router = Router::new().route("/", post(generate)).with_state(Arc::new(handler));
    let tokio = Box::leak(Box::new(crate::runtime()?));
    let _ = bridge::init_with_runtime(tokio);
    tokio.block_on(crate::serve_axum(router, port))?;
    Ok(())
}

async fn generate(State(handler): State<Arc<Handler>>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let started = tokio::task::spawn_blocking(move || {
        Python::attach(|py| {
            let request = pythonize::pythonize(py, &request)?;
            let items = handler.callable.bind(py).call1((request,))?;
            bridge::into_stream_with_locals_v1(handler.locals.clone(), items)
        })
    });
    let Ok(Ok(items)) = started.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let events = items.then(|item| async {
        let converted = tokio::task::spawn_blocking(|| {
            Python::attach(|py| pythonize::depythonize::<serde_json::Value>(item?.bind(py)).map_err(PyErr::from))
        });
        let value = converted.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(Bytes::from(format!("data: {value}\n\n")))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
