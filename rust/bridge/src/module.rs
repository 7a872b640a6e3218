//! The extension module `pybridge._pybridge`: what the Python package is built on.

use std::sync::Once;

use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::base::interpreter::{interrupt_thread, thread_parking};
use crate::base::refused_interpreters::check_interpreter;
use crate::base::{fork, runtime};
use crate::consumer::{
    Context, PyFrame, PyStream, current_context, detached_wait, prepare as prepare_coroutines, restore_frame,
};
use crate::driver::Driver;
use crate::engine::{PyCodec, PyEngine, PyPool, decode, encode};
use crate::error::py_errors;
use crate::memory::{self, apply_memory, memory_obstacles, memory_snapshot};
use crate::prometheus::metrics_text_from_python;
use crate::state::{self, close_all};
use crate::worker::{self, LoopWorker, PyWorker, open_port};

/// Sets the number of runtime threads; raises `ConfigError` when the runtime runs with another.
#[python_entry]
#[pyfunction]
fn configure_runtime(py: Python<'_>, workers: &Bound<'_, PyAny>) -> PyResult<()> {
    let wrong = || {
        py_errors::Class::Config.error(py, ("workers", format!("must be a whole number, at least 1, not {workers:?}")))
    };
    let workers = workers.extract::<usize>().ok().filter(|&workers| workers > 0).ok_or_else(wrong)?;
    runtime::configure(workers).map_err(|error| py_errors::runtime_error(py, error))
}

/// Cancels every stream of the process with the reason `shutdown`, and waits for their endings, at most `timeout` seconds.
#[python_entry]
#[pyfunction]
fn close_engines(py: Python<'_>, timeout: f64) -> PyResult<()> {
    if fork::check_fork().is_err() {
        return Ok(());
    }
    runtime::begin_to_end();
    worker::finish_reports(py);
    let busy = close_all();
    let timeout = std::time::Duration::try_from_secs_f64(timeout).unwrap_or_default();
    detached_wait::wait(py, Some(timeout), |waker| {
        let idle = busy.iter().filter(|engine| !engine.is_idle_or_wake(Some(waker))).count() == 0;
        idle.then_some(())
    })?;
    Ok(())
}

/// Stops the runtime's threads for good. What finalizers may still ask for is looked up while modules can be imported.
#[python_entry]
#[pyfunction]
fn stop_runtime(py: Python<'_>) {
    drop(py_errors::Class::EngineClosed.of(py));
    drop(worker::running_loop(py));
    drop(worker::trio_runs_here(py));
    py.detach(runtime::shutdown);
}

/// Has the runtime deliver turns, and watch memory, loops and workers.
fn run_background_tasks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        runtime::run_in_background(state::run_dispatcher);
        runtime::run_in_background(|| Box::pin(memory::watch()));
        runtime::run_in_background(|| Box::pin(worker::watch_loops()));
        runtime::run_in_background(|| Box::pin(worker::relieve_workers()));
    });
}

/// Adds everything that the Python package uses to its extension module.
///
/// # Errors
/// `ImportError`: this interpreter is not supported. The module does not take the names.
pub fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    check_interpreter(py)?;
    #[cfg(Py_3_14)]
    crate::codec::look_at_strings(py);
    prepare_coroutines(py);
    run_background_tasks();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Context>()?;
    module.add_class::<Driver>()?;
    module.add_class::<LoopWorker>()?;
    module.add_class::<PyCodec>()?;
    module.add_class::<PyEngine>()?;
    module.add_class::<PyFrame>()?;
    module.add_class::<PyPool>()?;
    module.add_class::<PyStream>()?;
    module.add_class::<PyWorker>()?;
    module.add_function(wrap_pyfunction!(apply_memory, module)?)?;
    module.add_function(wrap_pyfunction!(close_engines, module)?)?;
    module.add_function(wrap_pyfunction!(configure_runtime, module)?)?;
    module.add_function(wrap_pyfunction!(current_context, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(encode, module)?)?;
    module.add_function(wrap_pyfunction!(interrupt_thread, module)?)?;
    module.add_function(wrap_pyfunction!(memory_obstacles, module)?)?;
    module.add_function(wrap_pyfunction!(memory_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(metrics_text_from_python, module)?)?;
    module.add_function(wrap_pyfunction!(open_port, module)?)?;
    module.add_function(wrap_pyfunction!(restore_frame, module)?)?;
    module.add_function(wrap_pyfunction!(stop_runtime, module)?)?;
    module.add_function(wrap_pyfunction!(thread_parking, module)?)
}
