//! Keys seen before, as ready `str` objects with their hash.
#![allow(unsafe_code)] // one table for the process, guarded by the interpreter lock

use std::cell::UnsafeCell;

use pyo3::{Python, ffi};

use super::make;

/// Slots of the table; the keys of a few dozen message shapes.
const SLOTS: usize = 1024;
/// Longer keys are seldom names.
const LONGEST: usize = 32;

struct Table(UnsafeCell<[*mut ffi::PyObject; SLOTS]>);

// SAFETY: the table is reached with a `Python` token only, by code that runs no Python code meanwhile.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([std::ptr::null_mut(); SLOTS]));

/// A new reference to a `str` with this text, which is ASCII; null with an exception set if there is no memory.
#[inline]
pub(super) fn ascii(py: Python<'_>, text: &[u8]) -> *mut ffi::PyObject {
    if text.len() > LONGEST {
        return make::ascii(py, text);
    }
    // SAFETY: the lock is held, and neither making nor releasing an exact str runs Python code; slots hold ASCII str.
    unsafe {
        let slot = &mut (*TABLE.0.get())[slot(text)];
        if !slot.is_null() && make::ascii_text(*slot) == text {
            ffi::Py_INCREF(*slot);
            return *slot;
        }
        let key = make::ascii(py, text);
        if !key.is_null() {
            ffi::PyObject_Hash(key);
            ffi::Py_INCREF(key);
            ffi::Py_XDECREF(std::mem::replace(slot, key));
        }
        key
    }
}

#[inline]
fn slot(text: &[u8]) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let mut hash = text.len() as u64;
    for bytes in text.chunks(8) {
        hash = (hash.rotate_left(5) ^ word(bytes)).wrapping_mul(MULTIPLIER);
    }
    (hash >> 32) as usize % SLOTS
}
