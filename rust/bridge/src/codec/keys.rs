//! Keys seen before, as ready `str` objects with their hash.
#![allow(unsafe_code)] // one table for the process, guarded by the interpreter lock

use std::cell::UnsafeCell;

use pyo3::{Python, ffi};

use super::{lanes, make};

/// Slots of the table; the keys of a few dozen message shapes.
const SLOTS: usize = 1024;
/// Longer keys are seldom names.
const LONGEST: usize = 32;

struct Table(UnsafeCell<[*mut ffi::PyObject; SLOTS]>);

// SAFETY: the table is reached with a `Python` token only, by code that runs no Python code meanwhile.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([std::ptr::null_mut(); SLOTS]));

/// A new reference to the `str` of this text, if it is in the table.
#[inline]
pub(super) fn get(_py: Python<'_>, text: &[u8]) -> Option<*mut ffi::PyObject> {
    if text.len() > LONGEST {
        return None;
    }
    // SAFETY: the lock is held; slots hold ASCII str, or null.
    unsafe {
        let key = (*TABLE.0.get())[slot(text)];
        if key.is_null() || !lanes::equal(make::ascii_text(key), text) {
            return None;
        }
        ffi::Py_INCREF(key);
        Some(key)
    }
}

/// A new `str` of this text, which is ASCII, put into the table if it may be a name; null with an exception set if
/// there is no memory.
pub(super) fn add(py: Python<'_>, text: &[u8]) -> *mut ffi::PyObject {
    let key = make::ascii(py, text);
    if text.len() > LONGEST || key.is_null() {
        return key;
    }
    // SAFETY: the lock is held, and neither hashing nor releasing an exact str runs Python code.
    unsafe {
        ffi::PyObject_Hash(key);
        ffi::Py_INCREF(key);
        ffi::Py_XDECREF(std::mem::replace(&mut (*TABLE.0.get())[slot(text)], key));
    }
    key
}

#[inline]
fn slot(text: &[u8]) -> usize {
    lanes::hash(text) as usize % SLOTS
}
