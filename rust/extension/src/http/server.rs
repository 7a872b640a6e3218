//! A server as a Python object: made of checked options, started with sockets, ended by calls, signals or its supervisor.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::Shared;
use pybridge::extension::{Polled, coroutine};
use pybridge::{Engine, runtime};
use pybridge_base::lock::{Mutex, lock};
use pybridge_http::{Listener, Server, ServerOptions, serve};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::descriptor::{stream_of, take};
use super::options::{not_started, seconds, server_options};
use super::stop_signals::Stopping;
use super::supervisor_watch;

/// One engine behind HTTP, on threads of Rust's.
#[pyclass(frozen, name = "HttpServer", module = "pybridge._pybridge")]
pub(crate) struct PyServer {
    /// Until it is started.
    made: Mutex<Option<(Engine, ServerOptions)>>,
    running: OnceLock<Running>,
}

struct Running {
    control: pybridge_http::Control,
    stopping: Arc<Stopping>,
    ended: Shared<Server>,
}

#[python_entry]
#[pymethods]
impl PyServer {
    /// Checks the options of a server for `engine`, a `PooledEngine`, and starts its worker. `tls`: certificate chain and key in
    /// PEM; `peers`: a folder for the sockets of the processes that serve together. Raises `ValueError(option, reason)`.
    #[new]
    fn new(
        engine: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        tls: Option<(Vec<u8>, Vec<u8>)>,
        peers: Option<PathBuf>,
    ) -> PyResult<Self> {
        let options = server_options(settings, tls, peers)?;
        let engine = Engine::of(engine)?;
        options.check(engine.profile()).map_err(not_started)?;
        Ok(Self { made: Mutex::new(Some((engine, options))), running: OnceLock::new() })
    }

    /// Serves on the sockets with these descriptors, which belong to it from now on, as does the socket `told`: there it writes a
    /// byte when a signal or its supervisor's end makes it drain (`d`) or leave (`l`), and when it has ended (`.`).
    #[pyo3(signature = (listeners, told=None))]
    fn start(&self, py: Python<'_>, listeners: Vec<RawFd>, told: Option<RawFd>) -> PyResult<()> {
        let sockets = listeners.into_iter().map(take).collect::<PyResult<Vec<_>>>()?;
        let told = told.map(take).transpose()?;
        let made = lock(&self.made).take();
        let (engine, options) = made.ok_or_else(|| PyRuntimeError::new_err("the server was started before"))?;
        let running = py.detach(|| {
            let listeners = sockets.into_iter().map(Listener::from_fd).collect::<Result<Vec<_>, _>>();
            let log = options.access_log;
            let server = serve(engine, listeners.map_err(|error| PyOSError::new_err(error.to_string()))?, options);
            let server = server.map_err(not_started)?;
            let control = server.control();
            let ended = server.shared();
            let stopping = Arc::new(Stopping::new(control.clone(), told, log));
            let (wait, tell) = (ended.clone(), Arc::clone(&stopping));
            runtime::start().map_err(|error| PyRuntimeError::new_err(error.to_string()))?.spawn(async move {
                wait.await;
                tell.ended();
            });
            Ok::<_, PyErr>(Running { control, stopping, ended })
        })?;
        drop(self.running.set(running));
        Ok(())
    }

    /// Drains; see `pybridge.serve`. Does not wait.
    fn drain(&self) {
        if let Some(running) = self.running.get() {
            running.control.drain();
        }
    }

    /// Ends at once: cancels what is live with the reason `shutdown`, closes connections. Does not wait.
    fn stop(&self, py: Python<'_>) {
        if let Some(running) = self.running.get() {
            py.detach(|| running.control.stop());
        }
    }

    /// Suspends until it has ended; gives how many of the last calls finished and how many were cancelled.
    fn ended<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        coroutine(py, Ended(self.running()?.ended.clone()))
    }

    /// How many of the last calls finished and how many were cancelled; None before it has ended.
    fn drained(&self) -> Option<(usize, usize)> {
        let drained = self.running.get()?.ended.peek()?;
        Some((drained.finished, drained.cancelled))
    }

    /// Reads numbers of signals from the socket with this descriptor, a byte each, which belongs to it from now on: the first
    /// SIGINT or SIGTERM lets it drain, and the process end within so many seconds, with status 3 if not by itself. A second one
    /// ends the process at once, with status 128 and its number. SIGHUP does that too, or if it is `replaced`, lets it leave its
    /// sockets to others: it ends when its connections have.
    fn watch_signals(&self, py: Python<'_>, signals: RawFd, within: f64, replaced: bool) -> PyResult<()> {
        let (signals, within, stopping) = (take(signals)?, seconds(within)?, &self.running()?.stopping);
        py.detach(|| {
            let runtime = runtime::start().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            let _entered = runtime.enter();
            runtime.spawn(Arc::clone(stopping).read_signals(stream_of(signals)?, within, replaced));
            Ok(())
        })
    }

    /// Does what the first signal does when the other end of the socket with this descriptor is closed.
    fn watch_supervisor(&self, py: Python<'_>, channel: RawFd, within: f64) -> PyResult<()> {
        let (channel, within, stopping) = (take(channel)?, seconds(within)?, &self.running()?.stopping);
        py.detach(|| {
            let runtime = runtime::start().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            let _entered = runtime.enter();
            runtime.spawn(supervisor_watch::end_with(stream_of(channel)?, Arc::clone(stopping), within));
            Ok(())
        })
    }

    /// Python's main thread goes on: the process may take its time, or, if `within` is given, has to have ended after so many
    /// seconds.
    #[pyo3(signature = (within=None))]
    fn disarm(&self, within: Option<f64>) -> PyResult<()> {
        let within = within.map(seconds).transpose()?;
        self.running()?.stopping.disarm(within);
        Ok(())
    }
}

impl PyServer {
    fn running(&self) -> PyResult<&Running> {
        self.running.get().ok_or_else(|| PyRuntimeError::new_err("the server was not started"))
    }
}

#[python_entry]
impl Drop for PyServer {
    /// Nobody can end it any more.
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.control.stop();
        }
    }
}

/// The end of a server, awaited.
struct Ended(Shared<Server>);

impl Polled for Ended {
    fn name(&self) -> &'static str {
        "HttpServer.ended"
    }

    fn poll<'py>(&mut self, py: Python<'py>, waker: Option<&Waker>) -> Poll<PyResult<Bound<'py, PyAny>>> {
        let mut context = Context::from_waker(waker.unwrap_or(Waker::noop()));
        let drained = Pin::new(&mut self.0).poll(&mut context);
        drained.map(|drained| Ok((drained.finished, drained.cancelled).into_pyobject(py)?.into_any()))
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}
