//! Small things about exceptions and the interpreter that several files need.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use std::ffi::c_ulong;

use pyo3::exceptions::{PyImportError, PyStopIteration, PySystemExit};
use pyo3::ffi;
use pyo3::prelude::*;

/// `StopIteration(value)`, which is how an awaitable returns.
pub(crate) fn stop_iteration(_py: Python<'_>, value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}

/// `ImportError` anywhere but in the main interpreter: threads, pools and caches are the process's.
pub(crate) fn refuse_subinterpreter(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached; both only look.
    if unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() } {
        Ok(())
    } else {
        Err(PyImportError::new_err("pybridge works in the main interpreter only, not in a subinterpreter"))
    }
}

/// Raises `SystemExit` in the Python thread `ident`, as soon as it runs Python code.
#[python_entry]
#[pyfunction]
pub(crate) fn interrupt_thread(py: Python<'_>, ident: c_ulong) {
    let exit = py.get_type::<PySystemExit>();
    // SAFETY: attached; the call takes a reference of its own, and does nothing for a thread that has ended.
    unsafe { ffi::PyThreadState_SetAsyncExc(ident.cast_signed(), exit.as_ptr()) };
}
