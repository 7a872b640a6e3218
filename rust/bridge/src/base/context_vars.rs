//! Contexts and context variables of Python's `contextvars`.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use pyo3::ffi;
use pyo3::prelude::*;

/// A copy of the context that code runs in.
pub(crate) fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; NULL means an exception is set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// Calls with one argument, in this context.
pub(crate) fn call_in_context<'py>(
    context: &Bound<'py, PyAny>,
    callable: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = callable.py();
    // SAFETY: attached; the call checks that it is a context.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    let result = callable.call1((argument,));
    // SAFETY: as above; it was entered just now, and whatever was entered meanwhile has been left.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    result.map(drop)
}

/// What a `contextvars.ContextVar` holds where code runs, if anything.
pub(crate) fn context_value<'py>(variable: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = variable.py();
    let mut value = std::ptr::null_mut();
    // SAFETY: attached; the call checks the variable's type; `value` receives a new reference, or NULL.
    unsafe {
        if ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr_or_opt(py, value))
    }
}

/// Sets a `contextvars.ContextVar` where code runs.
pub(crate) fn set_context_value(variable: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: attached; the call checks the variable's type; what it gives is a new reference, or NULL with an exception.
    unsafe {
        let token = ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr());
        Bound::from_owned_ptr_or_err(variable.py(), token).map(drop)
    }
}
