//! Interpreters that the bridge cannot run in, refused when it is imported: sub-interpreters and free-threaded Python.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// `ImportError` in an interpreter that this module cannot run in.
pub(crate) fn check_interpreter(py: Python<'_>) -> PyResult<()> {
    refuse_subinterpreter(py)?;
    refuse_free_threading(py)
}

/// `ImportError` anywhere but in the main interpreter: threads, pools and caches are the process's.
fn refuse_subinterpreter(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached; both only look.
    if unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() } {
        Ok(())
    } else {
        Err(PyImportError::new_err("pybridge works in the main interpreter only, not in a subinterpreter"))
    }
}

/// `ImportError` where Python is a free-threaded build, or has no interpreter lock: tables here are guarded by that lock,
/// and objects are read as they are laid out with it.
fn refuse_free_threading(py: Python<'_>) -> PyResult<()> {
    let built_without = py.import("sysconfig")?.call_method1("get_config_var", ("Py_GIL_DISABLED",))?.is_truthy()?;
    let switched_off = match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
        Some(is_enabled) => !is_enabled.call0()?.is_truthy()?,
        None => false,
    };
    if built_without || switched_off {
        return Err(PyImportError::new_err(
            "pybridge needs a Python with the global interpreter lock; a free-threaded build is refused, whatever \
             PYTHON_GIL says",
        ));
    }
    Ok(())
}
