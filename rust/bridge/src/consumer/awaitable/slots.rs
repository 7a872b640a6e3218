//! Type slots by which the interpreter resumes coroutines made in Rust as it does its own; pyo3's class macro has none.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::awaited::Awaited;
use crate::worker::in_slot;

/// Gives the class of our coroutines the slots; at import, before there is a coroutine.
pub(crate) fn prepare(py: Python<'_>) {
    let class = py.get_type::<Awaited>().as_type_ptr();
    // SAFETY: attached; a class made by the macro has its own table of these slots, which lives as long as it does, and
    // nobody has looked at it yet.
    unsafe {
        if let Some(slots) = (*class).tp_as_async.as_mut() {
            slots.am_await = Some(ffi::PyObject_SelfIter);
            slots.am_send = Some(am_send);
        }
        ffi::PyType_Modified(class);
    }
}

/// `send()` that hands a result out as it is, where `__next__` must raise it.
unsafe extern "C" fn am_send(
    coroutine: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls this for a live object of the class that has the slot and no subclasses, and with a place
    // for the result. `tp_iternext` is the class's own.
    in_slot(|py| unsafe {
        if value != ffi::Py_None() {
            let send = intern!(py, "send").as_ptr();
            *result = ffi::PyObject_CallMethodOneArg(coroutine, send, value);
            return ffi::PySendResult::PYGEN_ERROR;
        }
        let this = Borrowed::from_ptr(py, coroutine).cast_unchecked::<Awaited>().get();
        this.expect_result();
        let Some(next) = (*ffi::Py_TYPE(coroutine)).tp_iternext else { return ffi::PySendResult::PYGEN_ERROR };
        *result = next(coroutine);
        if !(*result).is_null() {
            return ffi::PySendResult::PYGEN_NEXT;
        }
        match this.take_result() {
            Some(value) => {
                *result = value.into_ptr();
                ffi::PySendResult::PYGEN_RETURN
            }
            None => ffi::PySendResult::PYGEN_ERROR,
        }
    })
}
