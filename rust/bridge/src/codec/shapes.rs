//! Dicts whose keys came before, as copies of one that has grown already.
#![allow(unsafe_code)] // one table for the process, guarded by the interpreter lock

use std::cell::UnsafeCell;

use pyo3::{Python, ffi};

/// A dict of fewer pairs has its first table to the end.
const FEWEST: usize = 6;
/// Larger dicts are seldom records.
const MOST: usize = 32;
/// Slots of the table.
const SLOTS: usize = 64;

/// Keys in their order, and a dict of them with `None` for each value.
struct Shape {
    keys: Vec<*mut ffi::PyObject>,
    dict: *mut ffi::PyObject,
}

struct Table(UnsafeCell<[Shape; SLOTS]>);

// SAFETY: the table is reached with a `Python` token only, by code that runs no Python code meanwhile.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([const { Shape { keys: Vec::new(), dict: std::ptr::null_mut() } }; SLOTS]));

/// A new dict that takes `pairs`, key and value in turn: empty, or with these keys and no others; null with an exception
/// set if there is no memory.
///
/// # Safety
/// Each of `pairs` is a live object, keys are hashable without running Python code.
#[inline]
pub(super) unsafe fn dict(_py: Python<'_>, pairs: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    let len = pairs.len() / 2;
    // SAFETY: attached; the table's dicts are exact ones whose keys have run no Python code and never do.
    unsafe {
        if !(FEWEST..=MOST).contains(&len) {
            return ffi::PyDict_New();
        }
        let shape = &mut (*TABLE.0.get())[place(pairs)];
        if shape.keys.len() != len || !shape.keys.iter().eq(pairs.iter().step_by(2)) {
            shape.forget();
            shape.keys.extend(pairs.iter().step_by(2));
            return ffi::PyDict_New();
        }
        if shape.dict.is_null() && !shape.learn() {
            return ffi::PyDict_New();
        }
        ffi::PyDict_Copy(shape.dict)
    }
}

#[inline]
fn place(pairs: &[*mut ffi::PyObject]) -> usize {
    let (first, last) = (pairs[0] as usize, pairs[pairs.len() - 2] as usize);
    ((first / 16) ^ (last / 64) ^ pairs.len()) % SLOTS
}

impl Shape {
    #[cold]
    fn forget(&mut self) {
        self.keys.clear();
        // SAFETY: attached; the table owns the dict, whose release runs no Python code.
        unsafe { ffi::Py_XDECREF(std::mem::replace(&mut self.dict, std::ptr::null_mut())) };
    }

    /// Makes the dict of these keys, which have come a second time; false if they are no shape.
    #[cold]
    fn learn(&mut self) -> bool {
        // SAFETY: attached; the keys are those of the dict that is being made, so they are alive.
        unsafe {
            let dict = ffi::PyDict_New();
            let whole =
                !dict.is_null() && self.keys.iter().all(|&key| ffi::PyDict_SetItem(dict, key, ffi::Py_None()) == 0);
            if whole && ffi::PyDict_Size(dict).cast_unsigned() == self.keys.len() {
                self.dict = dict;
                return true;
            }
            ffi::PyErr_Clear();
            ffi::Py_XDECREF(dict);
            self.keys.clear();
            false
        }
    }
}
