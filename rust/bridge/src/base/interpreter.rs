//! Calls of the interpreter's C API about exceptions, attributes, references and threads.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use std::ffi::c_ulong;

use pyo3::exceptions::{PyStopIteration, PySystemExit};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::exit_parking;

/// `StopIteration(value)`, which is how an awaitable returns.
pub(crate) fn stop_iteration(_py: Python<'_>, value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}

/// The exception itself, which before Python 3.12 has its traceback beside it.
pub(crate) fn object_of(py: Python<'_>, error: &PyErr) -> Py<PyAny> {
    error.clone_ref(py).into_value(py).into_any()
}

/// Most arguments of a [`call_with_keywords`].
const MOST_ARGUMENTS: usize = 4;

/// Calls with a few arguments, of which the last ones have these names.
#[inline]
pub(crate) fn call_with_keywords<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &[&Bound<'py, PyAny>],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    assert!(names.len() <= arguments.len() && arguments.len() <= MOST_ARGUMENTS);
    // One place before the first argument, which the callable may use.
    let mut places = [std::ptr::null_mut(); 1 + MOST_ARGUMENTS];
    for (place, argument) in places[1..].iter_mut().zip(arguments) {
        *place = argument.as_ptr();
    }
    let positional = (arguments.len() - names.len()) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    // SAFETY: attached; all are live objects, there are as many arguments as are said, and the place before them is ours.
    unsafe {
        let result = ffi::PyObject_Vectorcall(callable.as_ptr(), places.as_ptr().add(1), positional, names.as_ptr());
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// What `object.__getattribute__` gives for the interned string that is equal to `name`.
pub(crate) fn attribute_by_interned_name<'py>(
    object: &Bound<'py, PyAny>,
    name: Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let mut name = name.into_ptr();
    // SAFETY: attached; `name` is a reference of ours to a string, before and after it is exchanged, and `object` is alive.
    unsafe {
        ffi::PyUnicode_InternInPlace(&raw mut name);
        let name = Bound::<PyAny>::from_owned_ptr(py, name);
        Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr()))
    }
}

/// True if nobody else has a reference to the object.
pub(crate) fn is_unshared<T>(_py: Python<'_>, object: &Py<T>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

/// Whether threads are parked at the interpreter's end: `"on"`, `"missing"` where the C library lacks what that takes,
/// `"not needed"` where the stacks of threads that end are not unwound.
#[python_entry]
#[pyfunction]
pub(crate) fn thread_parking() -> &'static str {
    exit_parking::state()
}

/// Raises `SystemExit` in the Python thread `ident`, as soon as it runs Python code.
#[python_entry]
#[pyfunction]
pub(crate) fn interrupt_thread(py: Python<'_>, ident: c_ulong) {
    let exit = py.get_type::<PySystemExit>();
    // SAFETY: attached; the call takes a reference of its own, and does nothing for a thread that has ended.
    unsafe { ffi::PyThreadState_SetAsyncExc(ident.cast_signed(), exit.as_ptr()) };
}
