//! The harness as functions of the extension.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use serde_json::Value;

use super::codec::bench_codec;
use super::lane::{Lane, LaneError, Pooled, Reference};
use super::load::{self, Outcome, Plan};
use super::typed::{ChatChunk, ChatRequest};
use crate::bridge_thread::BridgeThread;
use crate::naive::{Handler, Naive, TraceContext};
use pybridge::Engine;
use pybridge::extension;

/// Threads of the reference bridges' runtime, whatever the machine: as such bridges have at least.
const RUNTIME_WORKERS: usize = 2;

/// Adds the harness to the extension module, and sizes the runtime that the reference bridges use.
///
/// # Errors
/// The module does not take the names.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("bench_optimised", !cfg!(debug_assertions))?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(RUNTIME_WORKERS).thread_name("reference-rt").enable_all();
    pyo3_async_runtimes::tokio::init(builder);
    module.add_class::<TraceContext>()?;
    module.add_function(wrap_pyfunction!(bench_codec, module)?)?;
    module.add_function(wrap_pyfunction!(bench_run, module)?)
}

/// Puts a plan (`pybridge.bench.protocol.Plan`) through a lane; every frame is received on the tokio runtime.
///
/// Blocks, without the interpreter, until the last stream has ended. For a reference bridge `handler` is the handler and
/// `event_loop` a loop that runs in another thread, `typed` converts to the demo handler's structs, `unary` awaits what the
/// handler returns; for `pooled` it is a `PooledEngine`, which knows all that.
///
/// # Errors
/// `ValueError` for an unknown lane, an empty plan, and values that cannot be converted; what a handler raised.
#[python_entry]
#[pyfunction]
#[pyo3(signature = (lane, handler, plan, *, event_loop=None, typed=false, unary=false))]
fn bench_run<'py>(
    lane: &str,
    handler: &Bound<'py, PyAny>,
    plan: Plan,
    event_loop: Option<&Bound<'py, PyAny>>,
    typed: bool,
    unary: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let py = handler.py();
    if plan.bodies.is_empty() || plan.concurrency == 0 {
        return Err(PyValueError::new_err("a plan needs a body and a concurrency above 0"));
    }
    let (format, keep) = (plan.format, plan.keep);
    let bound = || {
        let event_loop = event_loop.ok_or_else(|| PyValueError::new_err("a reference bridge needs an event loop"))?;
        Handler::new(handler, event_loop, unary)
    };
    let outcome = match (lane, typed) {
        ("naive", true) => run(py, Reference { bridge: Naive::<ChatRequest, ChatChunk>::new(bound()?), format }, plan),
        ("naive", false) => run(py, Reference { bridge: Naive::<Value, Value>::new(bound()?), format }, plan),
        ("bridge-thread", true) => {
            run(py, Reference { bridge: BridgeThread::<ChatRequest, ChatChunk>::new(bound()?)?, format }, plan)
        }
        ("bridge-thread", false) => {
            run(py, Reference { bridge: BridgeThread::<Value, Value>::new(bound()?)?, format }, plan)
        }
        ("pooled", _) => {
            let runtime = pybridge::runtime::start().map_err(|failed| extension::runtime_error(py, failed))?;
            run(py, Pooled { engine: Engine::of(handler)?, runtime }, plan)
        }
        (other, _) => Err(PyValueError::new_err(format!("no lane is called {other:?}"))),
    }?;
    summary(py, &outcome, keep)
}

fn run<L: Lane>(py: Python<'_>, lane: L, plan: Plan) -> PyResult<Outcome> {
    let runtime = lane.runtime();
    py.detach(|| runtime.block_on(load::run(lane, plan))).map_err(|failed| match failed {
        LaneError::Reference(failed) => failed.into(),
        LaneError::Engine(failed) => failed.to_pyerr(py),
    })
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
        let streams =
            outcome.frames.iter().map(|(_, frames)| PyList::new(py, frames.iter().map(|f| PyBytes::new(py, f))));
        summary.set_item("frames", PyList::new(py, streams.collect::<PyResult<Vec<_>>>()?)?)?;
    }
    Ok(summary)
}
