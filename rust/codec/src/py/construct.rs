//! Construction of Python objects with the fewest copies and checks.
#![allow(unsafe_code)] // PyO3 validates or copies once more than these do

use pybridge_pool::short_copy;
use pyo3::{Python, ffi};

use super::str_layout;

/// A new `str` of ASCII text; null with an exception set if there is no memory.
#[inline]
pub(crate) fn ascii(_py: Python<'_>, text: &[u8]) -> *mut ffi::PyObject {
    if let [byte] = text {
        // SAFETY: the thread is attached; one-character strings are shared by the interpreter.
        return unsafe { ffi::PyUnicode_FromOrdinal((*byte).into()) };
    }
    // SAFETY: the thread is attached; a new ASCII str has room for its length, and nothing else can see it yet.
    unsafe {
        let made = ffi::PyUnicode_New(text.len().cast_signed(), 0x7f);
        if !made.is_null() && !text.is_empty() {
            short_copy(text.as_ptr(), str_layout::data(made).cast(), text.len());
        }
        made
    }
}

/// The text of a compact ASCII `str`.
///
/// # Safety
/// `ob` is one, and alive for `'a`.
#[inline]
pub(crate) unsafe fn ascii_text<'a>(ob: *mut ffi::PyObject) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(str_layout::data(ob).cast(), ffi::PyUnicode_GET_LENGTH(ob).cast_unsigned()) }
}

/// A new `list` of `items`, whose references it takes; null with an exception set if there is no memory.
///
/// # Safety
/// Each of `items` is an owned reference; on null they still are the caller's.
#[inline]
pub(crate) unsafe fn list(_py: Python<'_>, items: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached; every slot of the new list is filled before anything can see it.
    unsafe {
        let list = ffi::PyList_New(items.len().cast_signed());
        if !list.is_null() && !items.is_empty() {
            std::ptr::copy_nonoverlapping(items.as_ptr(), (*list.cast::<ffi::PyListObject>()).ob_item, items.len());
        }
        list
    }
}

/// Puts `pairs`, key and value in turn, into `dict`; takes their references whatever happens.
///
/// False with an exception set if there is no memory.
///
/// # Safety
/// `dict` is a dict that nothing else uses, or null with an exception set; each of `pairs` is an owned reference, keys
/// are hashable without running Python code.
#[inline]
pub(crate) unsafe fn fill(_py: Python<'_>, dict: *mut ffi::PyObject, pairs: &[*mut ffi::PyObject]) -> bool {
    // SAFETY: the thread is attached; the dict takes references of its own, and ours are released after.
    unsafe {
        let mut filled = !dict.is_null();
        for pair in pairs.chunks_exact(2) {
            filled = filled && ffi::PyDict_SetItem(dict, pair[0], pair[1]) == 0;
            ffi::Py_DECREF(pair[0]);
            ffi::Py_DECREF(pair[1]);
        }
        filled
    }
}
