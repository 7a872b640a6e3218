//! The harness as functions of the extension.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::lane::{Lane, Reference};
use super::load::{self, Outcome, Plan};
use super::typed::{ChatChunk, ChatRequest};
use crate::bridge_thread::BridgeThread;
use crate::codec::Format;
use crate::naive::{Handler, Naive, TraceContext};

/// Threads of the reference bridges' runtime; as many as the product's own has.
const RUNTIME_WORKERS: usize = 2;

/// Adds the harness to the extension module, and sizes the runtime that the reference bridges use.
///
/// # Errors
/// The module does not take the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(RUNTIME_WORKERS).thread_name("reference-rt").enable_all();
    pyo3_async_runtimes::tokio::init(builder);
    module.add_class::<TraceContext>()?;
    module.add_function(wrap_pyfunction!(bench_run, module)?)
}

/// Sends `requests` requests through a lane, `concurrency` at a time, and receives every frame on the tokio runtime.
///
/// Blocks, without the interpreter, until the last stream has ended. `handler` is the handler itself and `event_loop` a
/// loop that runs in another thread.
///
/// # Errors
/// `ValueError` for an unknown lane or codec and for values that cannot be converted; what a handler raised.
#[pyfunction]
#[pyo3(signature = (lane, handler, *, event_loop, bodies, concurrency, requests, codec="msgpack", typed=false,
                    item_limit=None, latency=false, probe=false, keep=false))]
#[expect(clippy::too_many_arguments, reason = "keyword-only options of one call")]
#[expect(clippy::fn_params_excessive_bools, reason = "keyword-only options of one call")]
fn bench_run<'py>(
    lane: &str,
    handler: &Bound<'py, PyAny>,
    event_loop: &Bound<'py, PyAny>,
    bodies: Vec<Vec<u8>>,
    concurrency: usize,
    requests: usize,
    codec: &str,
    typed: bool,
    item_limit: Option<usize>,
    latency: bool,
    probe: bool,
    keep: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let py = handler.py();
    let format = match codec {
        "msgpack" => Format::Msgpack,
        "json" => Format::Json,
        other => return Err(PyValueError::new_err(format!("codec: \"msgpack\" or \"json\", not {other:?}"))),
    };
    if bodies.is_empty() || concurrency == 0 || item_limit == Some(0) {
        return Err(PyValueError::new_err("bodies, concurrency and item_limit must not be empty or 0"));
    }
    let plan = Plan { bodies, concurrency, requests, item_limit, latency, probe, keep, format };
    let outcome = match (lane, typed) {
        ("naive", true) => {
            let bridge = Naive::<ChatRequest, ChatChunk>::new(Handler::new(handler, event_loop)?);
            run(py, Reference { bridge, format }, plan)
        }
        ("naive", false) => {
            let bridge = Naive::<serde_json::Value, serde_json::Value>::new(Handler::new(handler, event_loop)?);
            run(py, Reference { bridge, format }, plan)
        }
        ("bridge-thread", true) => {
            let bridge = BridgeThread::<ChatRequest, ChatChunk>::new(Handler::new(handler, event_loop)?)?;
            run(py, Reference { bridge, format }, plan)
        }
        ("bridge-thread", false) => {
            let handler = Handler::new(handler, event_loop)?;
            let bridge = BridgeThread::<serde_json::Value, serde_json::Value>::new(handler)?;
            run(py, Reference { bridge, format }, plan)
        }
        (other, _) => Err(PyValueError::new_err(format!("no lane is called {other:?}"))),
    }?;
    summary(py, &outcome, keep)
}

fn run<L: Lane>(py: Python<'_>, lane: L, plan: Plan) -> PyResult<Outcome> {
    let runtime = lane.runtime();
    Ok(py.detach(|| runtime.block_on(load::run(lane, plan)))?)
}

fn summary<'py>(py: Python<'py>, outcome: &Outcome, keep: bool) -> PyResult<Bound<'py, PyDict>> {
    let summary = PyDict::new(py);
    summary.set_item("requests", outcome.requests)?;
    summary.set_item("items", outcome.items)?;
    summary.set_item("bytes", outcome.bytes)?;
    summary.set_item("seconds", outcome.elapsed.as_secs_f64())?;
    summary.set_item("first_item", outcome.first_item.summary(py)?)?;
    summary.set_item("gap", outcome.gap.summary(py)?)?;
    summary.set_item("probe", outcome.probe.summary(py)?)?;
    if keep {
        let streams = outcome.frames.iter().map(|(_, frames)| PyList::new(py, frames.iter().map(|f| PyBytes::new(py, f))));
        summary.set_item("frames", PyList::new(py, streams.collect::<PyResult<Vec<_>>>()?)?)?;
    }
    Ok(summary)
}
