//! Templates of dicts by their keys: a dict whose keys were seen before begins as a copy of one that has its size.
#![allow(unsafe_code)] // holds owned references as plain pointers

use pyo3::{Python, ffi};

use crate::py::gil_cell::GilCell;

/// A dict of fewer pairs has its first table to the end.
const FEWEST: usize = 6;
/// Larger dicts are seldom records.
const MOST: usize = 32;
/// Longer keys are not kept alive.
const LONGEST_KEY: isize = 64;
/// Slots of the table.
const SLOTS: usize = 64;

/// Keys in their order, and a dict of them with `None` for each value.
struct Template {
    keys: Vec<*mut ffi::PyObject>,
    dict: *mut ffi::PyObject,
}

static TABLE: GilCell<[Template; SLOTS]> =
    GilCell::new([const { Template { keys: Vec::new(), dict: std::ptr::null_mut() } }; SLOTS]);

/// A new dict that takes `pairs`, key and value in turn: empty, or with these keys and no others; null with an exception
/// set if there is no memory.
///
/// # Safety
/// Each of `pairs` is a live object, keys are hashable without running Python code.
#[inline]
pub(super) unsafe fn dict(py: Python<'_>, pairs: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    let len = pairs.len() / 2;
    // SAFETY: attached; the table's dicts are exact ones whose keys have run no Python code and never do. Making a dict may
    // start the collector, and finalizers may come back here: no reference into the table is held then.
    unsafe {
        if !(FEWEST..=MOST).contains(&len) {
            return ffi::PyDict_New();
        }
        let place = place(pairs);
        let mut known = {
            let template = &mut TABLE.get(py)[place];
            if template.keys.len() != len || !template.keys.iter().eq(pairs.iter().step_by(2)) {
                template.forget();
                template.keys.extend(pairs.iter().step_by(2));
                return ffi::PyDict_New();
            }
            ffi::Py_XINCREF(template.dict);
            template.dict
        };
        if known.is_null() {
            known = learn(pairs);
            if known.is_null() {
                ffi::PyErr_Clear();
                return ffi::PyDict_New();
            }
            ffi::Py_INCREF(known);
            let template = &mut TABLE.get(py)[place];
            template.forget();
            template.keys.extend(pairs.iter().step_by(2));
            template.dict = known;
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

impl Template {
    #[cold]
    fn forget(&mut self) {
        self.keys.clear();
        // SAFETY: attached; the table owns the dict, whose release runs no Python code.
        unsafe { ffi::Py_XDECREF(std::mem::replace(&mut self.dict, std::ptr::null_mut())) };
    }
}
