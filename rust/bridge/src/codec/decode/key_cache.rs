//! Keys seen before, as ready `str` objects with their hash.
#![allow(unsafe_code)] // one table for the process, guarded by the interpreter lock

use std::cell::UnsafeCell;

use pyo3::{Python, ffi};

use super::{lanes, make};

/// Slots of the table; the keys of a few dozen message shapes.
const SLOTS: usize = 2048;
/// Longer keys are seldom names.
const LONGEST: usize = 32;

/// A key and its text, short text in two words and without a look at the object.
#[derive(Clone, Copy)]
struct Slot {
    words: [u64; 2],
    /// Its length and one; 0 where there is no key.
    mark: usize,
    key: *mut ffi::PyObject,
}

struct Table(UnsafeCell<[Slot; SLOTS]>);

// SAFETY: the table is reached with a `Python` token only, by code that runs no Python code meanwhile.
unsafe impl Sync for Table {}

const EMPTY: Slot = Slot { words: [0; 2], mark: 0, key: std::ptr::null_mut() };

static TABLE: Table = Table(UnsafeCell::new([EMPTY; SLOTS]));

/// A new reference to the `str` of this text, if it is in the table.
#[inline]
pub(super) fn get(_py: Python<'_>, text: &[u8]) -> Option<*mut ffi::PyObject> {
    if text.len() > LONGEST {
        return None;
    }
    let words = lanes::words(text);
    // SAFETY: the lock is held; slots with the mark of a key hold an ASCII str.
    unsafe {
        let slot = &(*TABLE.0.get())[place(words, text.len())];
        if slot.mark != text.len() + 1
            || slot.words != words
            || text.len() > lanes::WORDS && !lanes::equal(make::ascii_text(slot.key), text)
        {
            return None;
        }
        ffi::Py_INCREF(slot.key);
        Some(slot.key)
    }
}

/// A new `str` of this text, which is ASCII, put into the table if it may be a name; null with an exception set if
/// there is no memory.
pub(super) fn add(py: Python<'_>, text: &[u8]) -> *mut ffi::PyObject {
    let key = make::ascii(py, text);
    if text.len() > LONGEST || key.is_null() {
        return key;
    }
    let words = lanes::words(text);
    // SAFETY: the lock is held, and neither hashing nor releasing an exact str runs Python code.
    unsafe {
        ffi::PyObject_Hash(key);
        ffi::Py_INCREF(key);
        let slot = &raw mut (*TABLE.0.get())[place(words, text.len())];
        let before = std::mem::replace(&mut *slot, Slot { words, mark: text.len() + 1, key });
        ffi::Py_XDECREF(before.key);
    }
    key
}

#[inline]
fn place(words: [u64; 2], len: usize) -> usize {
    lanes::mix(words, len) as usize % SLOTS
}
