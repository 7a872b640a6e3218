//! Cache of the kinds of types, by type and version.
#![allow(unsafe_code)] // compares types by their addresses and versions

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyType, PyTypeMethods};

use super::kind::Kind;
use crate::py::gil_cell::GilCell;

/// Slots of the table; types that handlers yield are few.
const SLOTS: usize = 256;

/// A type, as it was at one version; its address may be another type's later, its version never.
struct Slot {
    ty: *mut ffi::PyTypeObject,
    version: u32,
    kind: Kind,
}

static TABLE: GilCell<[Slot; SLOTS]> =
    GilCell::new([const { Slot { ty: std::ptr::null_mut(), version: 0, kind: Kind::Unknown } }; SLOTS]);

/// What to do with objects of `ty`, if that was learned.
#[inline]
pub(super) fn get(ty: &Bound<'_, PyType>) -> Option<Kind> {
    let ptr = ty.as_type_ptr();
    // SAFETY: the type is alive; cloning a kind runs no Python code.
    unsafe {
        let slot = &TABLE.get(ty.py())[slot_of(ptr)];
        (slot.ty == ptr && slot.version != 0 && slot.version == (*ptr).tp_version_tag).then(|| slot.kind.clone())
    }
}

fn slot_of(ty: *mut ffi::PyTypeObject) -> usize {
    let address = ty.addr() >> 4;
    (address ^ address >> 8) % SLOTS
}

/// Finds out what to do with objects of `ty`, and keeps it.
///
/// # Errors
/// What a descriptor or metaclass of the type raises.
#[cold]
pub(super) fn learn(ty: &Bound<'_, PyType>) -> PyResult<Kind> {
    let kind = Kind::of(ty)?;
    let ptr = ty.as_type_ptr();
    // SAFETY: the type is alive; the kind that leaves holds references to str and tuples of str only, or to constants,
    // whose release runs no Python code, and it is dropped after the table's borrow.
    unsafe {
        let new = Slot { ty: ptr, version: (*ptr).tp_version_tag, kind: kind.clone() };
        drop(std::mem::replace(&mut TABLE.get(ty.py())[slot_of(ptr)], new));
    }
    Ok(kind)
}
