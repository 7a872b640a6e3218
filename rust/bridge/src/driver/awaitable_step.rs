//! One step of a Python awaitable, through the interpreter's own slots.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

/// What a step of an awaitable came to.
pub(super) enum Step<'py> {
    /// It waits for this; the object goes to the asyncio task untouched.
    Waits(Bound<'py, PyAny>),
    /// It has its result.
    Returned(Bound<'py, PyAny>),
    /// It raised.
    Raised(PyErr),
    /// It ran out.
    Ended,
}

/// Resumes with `send(None)`.
pub(super) fn send_none<'py>(awaitable: &Bound<'py, PyAny>) -> Step<'py> {
    let py = awaitable.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: attached; both arguments are live objects; `result` receives a new reference unless the call failed.
    let status = unsafe { ffi::PyIter_Send(awaitable.as_ptr(), ffi::Py_None(), &raw mut result) };
    match status {
        ffi::PySendResult::PYGEN_ERROR => Step::Raised(PyErr::fetch(py)),
        // SAFETY: on success `result` is a new reference that is ours.
        ffi::PySendResult::PYGEN_RETURN => Step::Returned(unsafe { Bound::from_owned_ptr(py, result) }),
        // SAFETY: as above.
        ffi::PySendResult::PYGEN_NEXT => Step::Waits(unsafe { Bound::from_owned_ptr(py, result) }),
    }
}

/// Resumes with `throw(error)`.
pub(super) fn throw<'py>(awaitable: &Bound<'py, PyAny>, error: PyErr) -> Step<'py> {
    let py = awaitable.py();
    let Ok(method) = awaitable.getattr(intern!(py, "throw")) else { return Step::Raised(error) };
    match method.call1((error.into_value(py),)) {
        Ok(object) => Step::Waits(object),
        Err(raised) if raised.is_instance_of::<PyStopIteration>(py) => {
            match raised.value(py).getattr(intern!(py, "value")) {
                Ok(value) => Step::Returned(value),
                Err(error) => Step::Raised(error),
            }
        }
        Err(raised) => Step::Raised(raised),
    }
}

/// True when the iterator ran out.
pub(super) fn is_end(py: Python<'_>, error: &PyErr) -> bool {
    error.get_type(py).is(py.get_type::<PyStopAsyncIteration>()) || error.is_instance_of::<PyStopAsyncIteration>(py)
}

/// What `await` would drive for `awaitable`.
pub(super) fn awaiter(awaitable: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = awaitable.py();
    if is_coroutine(&awaitable) {
        return Ok(awaitable);
    }
    let Some(slot) = async_slots(&awaitable).and_then(|slots| slots.am_await) else {
        let kind = awaitable.get_type().qualname()?.to_string();
        return Err(PyTypeError::new_err(format!("object {kind} can't be used in 'await' expression")));
    };
    // SAFETY: attached; the slot belongs to the object's type; NULL means an exception is set.
    let iterator = unsafe { Bound::from_owned_ptr_or_err(py, slot(awaitable.as_ptr())) }?;
    // SAFETY: the object is alive; the call only looks at its type.
    if unsafe { ffi::PyIter_Check(iterator.as_ptr()) } == 0 {
        let kind = iterator.get_type().qualname()?.to_string();
        return Err(PyTypeError::new_err(format!("__await__() returned non-iterator of type '{kind}'")));
    }
    Ok(iterator)
}

/// True for what `await` takes.
pub(super) fn is_awaitable(object: &Bound<'_, PyAny>) -> bool {
    is_coroutine(object) || async_slots(object).is_some_and(|slots| slots.am_await.is_some())
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: only the object's type pointer is compared.
    let is_native = unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 };
    is_native || is_generator_coroutine(object)
}

/// True for the generators of functions that `types.coroutine` marked.
fn is_generator_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: only the object's type pointer is compared.
    if unsafe { ffi::PyGen_CheckExact(object.as_ptr()) } == 0 {
        return false;
    }
    let py = object.py();
    let code = object.getattr(intern!(py, "gi_code"));
    let flags = code.and_then(|code| code.getattr(intern!(py, "co_flags"))?.extract::<i32>());
    flags.is_ok_and(|flags| flags & ffi::CO_ITERABLE_COROUTINE != 0)
}

pub(super) fn async_slots<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a ffi::PyAsyncMethods> {
    // SAFETY: an object keeps its type alive, and the type its slot table.
    unsafe { (*ffi::Py_TYPE(object.as_ptr())).tp_as_async.as_ref() }
}
