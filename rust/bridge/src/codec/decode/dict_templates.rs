//! Dicts whose keys came before, as copies of one that has grown already.
#![allow(unsafe_code)] // one table for the process, guarded by the interpreter lock

use std::cell::UnsafeCell;

use pyo3::{Python, ffi};

/// A dict of fewer pairs has its first table to the end.
const FEWEST: usize = 6;
/// Larger dicts are seldom records.
const MOST: usize = 32;
/// Longer keys are not kept alive.
const LONGEST_KEY: isize = 64;
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
    // SAFETY: attached; the table's dicts are exact ones whose keys have run no Python code and never do. Making a dict may
    // start the collector, and finalizers may come back here: no reference into the table is held then.
    unsafe {
        if !(FEWEST..=MOST).contains(&len) {
            return ffi::PyDict_New();
        }
        let place = place(pairs);
        let mut known = {
            let shape = &mut (*TABLE.0.get())[place];
            if shape.keys.len() != len || !shape.keys.iter().eq(pairs.iter().step_by(2)) {
                shape.forget();
                shape.keys.extend(pairs.iter().step_by(2));
                return ffi::PyDict_New();
            }
            ffi::Py_XINCREF(shape.dict);
            shape.dict
        };
        if known.is_null() {
            known = learn(pairs);
            if known.is_null() {
                ffi::PyErr_Clear();
                return ffi::PyDict_New();
            }
            ffi::Py_INCREF(known);
            let shape = &mut (*TABLE.0.get())[place];
            shape.forget();
            shape.keys.extend(pairs.iter().step_by(2));
            shape.dict = known;
        }
        let copy = ffi::PyDict_Copy(known);
        ffi::Py_DECREF(known);
        copy
    }
}

/// A dict of the keys of `pairs`, which have come a second time; null, perhaps with an exception set, if one of them
/// comes twice or is no name, or there is no memory.
///
/// # Safety
/// As for [`dict`], attached.
#[cold]
unsafe fn learn(pairs: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        let is_name = |key| ffi::PyUnicode_CheckExact(key) != 0 && ffi::PyUnicode_GetLength(key) <= LONGEST_KEY;
        if !pairs.iter().step_by(2).all(|&key| is_name(key)) {
            return std::ptr::null_mut();
        }
        let dict = ffi::PyDict_New();
        let whole = !dict.is_null()
            && pairs.iter().step_by(2).all(|&key| ffi::PyDict_SetItem(dict, key, ffi::Py_None()) == 0)
            && ffi::PyDict_Size(dict).cast_unsigned() == pairs.len() / 2;
        if whole {
            return dict;
        }
        ffi::Py_XDECREF(dict);
        std::ptr::null_mut()
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
}
