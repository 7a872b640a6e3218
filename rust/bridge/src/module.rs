//! The extension module `pybridge._pybridge`: what the Python package is built on.

use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::awaitable::prepare as prepare_coroutines;
use crate::context::{Context, current_context};
use crate::engine::{PyCodec, PyEngine, PyPool, close_all, decode, encode};
use crate::frame::{PyFrame, restore_frame};
use crate::interp::{check_interpreter, interrupt_thread};
use crate::memory::{apply_memory, memory_obstacles, memory_snapshot};
use crate::parking::thread_parking;
use crate::stream::{Driver, PyStream};
use crate::worker::{Port, PyWorker, open_port};
use crate::{blocking, error, runtime};

/// Sets the number of runtime threads; raises `ConfigError` when the runtime runs with another.
#[python_entry]
#[pyfunction]
fn configure_runtime(py: Python<'_>, workers: &Bound<'_, PyAny>) -> PyResult<()> {
    let wrong =
        || error::Class::Config.error(py, ("workers", format!("must be a whole number, at least 1, not {workers:?}")));
    let workers = workers.extract::<usize>().ok().filter(|&workers| workers > 0).ok_or_else(wrong)?;
    runtime::configure(workers).map_err(|error| error::runtime_error(py, error))
}

/// Cancels every stream of the process with the reason `shutdown`, and waits for their endings, at most `timeout` seconds.
#[python_entry]
#[pyfunction]
fn close_engines(py: Python<'_>, timeout: f64) -> PyResult<()> {
    if runtime::check_fork().is_err() {
        return Ok(());
    }
    runtime::begin_to_end();
    crate::worker::finish_reports(py);
    let busy = close_all();
    let timeout = std::time::Duration::try_from_secs_f64(timeout).unwrap_or_default();
    blocking::wait(py, Some(timeout), |waker| {
        let idle = busy.iter().filter(|engine| !engine.is_idle_or_wake(Some(waker))).count() == 0;
        idle.then_some(())
    })?;
    Ok(())
}

/// Stops the runtime's threads for good. What finalizers may still ask for is looked up while modules can be imported.
#[python_entry]
#[pyfunction]
fn stop_runtime(py: Python<'_>) {
    drop(error::Class::EngineClosed.of(py));
    drop(crate::worker::running_loop(py));
    drop(crate::worker::trio_runs_here(py));
    py.detach(runtime::shutdown);
}

/// Adds what the benchmark compares with.
#[cfg(feature = "naive")]
fn add_baselines(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::bench::register(module)
}

/// Nothing to add.
#[cfg(not(feature = "naive"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
fn add_baselines(_: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}

/// Private to the package; the public names are in `pybridge`.
#[pymodule(gil_used = true)]
pub mod _pybridge {
    #[pymodule_export]
    use super::{
        Context, Driver, Port, PyCodec, PyEngine, PyFrame, PyPool, PyStream, PyWorker, apply_memory, close_engines,
        configure_runtime, current_context, decode, encode, interrupt_thread, memory_obstacles, memory_snapshot,
        open_port, restore_frame, stop_runtime, thread_parking,
    };

    use pyo3::types::PyModuleMethods;

    #[python_entry]
    #[pymodule_init]
    fn init(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        super::check_interpreter(m.py())?;
        #[cfg(Py_3_14)]
        crate::codec::look_at_strings(m.py());
        super::prepare_coroutines(m.py());
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        super::add_baselines(m)
    }
}
