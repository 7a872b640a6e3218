//! Calls of the interpreter's C API about exceptions, references and the interpreter itself.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use std::ffi::c_ulong;

use pyo3::exceptions::{PyImportError, PyStopIteration, PySystemExit};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

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

/// True if nobody else has a reference to the object.
pub(crate) fn is_unshared<T>(_py: Python<'_>, object: &Py<T>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

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
