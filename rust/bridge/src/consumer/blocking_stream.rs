//! A stream for threads without an event loop.

use std::task::Poll;

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::detached_wait;
use super::py_stream::PyStream;
use crate::error::Reason;
use crate::worker;

/// A blocking iterator. Waits detached from the interpreter; signals interrupt it.
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
pub(crate) struct BlockingStream {
    stream: Py<PyStream>,
}

impl BlockingStream {
    pub(crate) fn new(py: Python<'_>, stream: Py<PyStream>) -> PyResult<Self> {
        refuse_on_loop(py)?;
        Ok(Self { stream })
    }
}

fn refuse_on_loop(py: Python<'_>) -> PyResult<()> {
    if worker::running_loop(py)?.is_some() {
        return Err(PyRuntimeError::new_err(
            "engine.iter() would block the event loop that runs here: use `async for item in engine(request)`",
        ));
    }
    if worker::trio_runs_here(py)? {
        return Err(PyRuntimeError::new_err(
            "engine.iter() would block trio, which runs here: use it within trio.to_thread.run_sync()",
        ));
    }
    Ok(())
}

#[python_entry]
#[pymethods]
impl BlockingStream {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        refuse_on_loop(py)?;
        let stream = self.stream.get();
        stream.readers.come_back(py);
        stream.start(py)?;
        let item = detached_wait::wait(py, None, |waker| match stream.poll(py, Some(waker)) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        })?;
        item.transpose().map(Option::flatten)
    }

    /// Ends the stream with the reason `caller`. Does not wait for the handler's cleanup.
    fn close(&self) {
        self.stream.get().abandon(Reason::Caller);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exc_info))]
    fn __exit__(&self, _exc_info: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        format!("<blocking pybridge.{}>", self.stream.get().describe())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stream)
    }
}
