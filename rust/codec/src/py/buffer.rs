//! Memory that an object shows through the buffer protocol.
#![allow(unsafe_code)] // the protocol is C's

use std::borrow::Cow;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::slice;

use pyo3::ffi;
use pyo3::prelude::*;

/// The memory of an object with its shape, strides and format, held.
///
/// An exporter may let the view point into itself, so it is no `Box`, which would claim to be the only way to it.
pub(crate) struct View(NonNull<ffi::Py_buffer>);

impl View {
    /// # Errors
    /// The object shows no memory, or what its `__buffer__` raises.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        // SAFETY: a zeroed view is one that holds nothing; the object fills it in, at an address that stays.
        unsafe {
            let view = NonNull::from(Box::leak(Box::new(std::mem::zeroed::<ffi::Py_buffer>())));
            if ffi::PyObject_GetBuffer(object.as_ptr(), view.as_ptr(), ffi::PyBUF_FULL_RO) == 0 {
                return Ok(Self(view));
            }
            drop(Box::from_raw(view.as_ptr()));
            Err(PyErr::fetch(object.py()))
        }
    }

    /// What the object said of it.
    pub(crate) fn info(&self) -> &ffi::Py_buffer {
        // SAFETY: it was filled in, and lives as long as this.
        unsafe { self.0.as_ref() }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.info().len.cast_unsigned()
    }

    /// Its bytes in the order of C, copied if they do not lie so. Nothing may write to them while they are borrowed.
    ///
    /// # Errors
    /// They cannot be copied.
    pub(crate) fn bytes(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        const ORDER: c_char = b'C'.cast_signed();
        let len = self.len();
        if len == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        // SAFETY: the exporter keeps `len` bytes there while the view is held, in one piece if it says so; the copy has
        // room for them.
        unsafe {
            if ffi::PyBuffer_IsContiguous(self.0.as_ptr(), ORDER) != 0 {
                return Ok(Cow::Borrowed(slice::from_raw_parts(self.info().buf.cast_const().cast(), len)));
            }
            let mut copy = vec![0_u8; len];
            match ffi::PyBuffer_ToContiguous(copy.as_mut_ptr().cast(), self.0.as_ptr(), self.info().len, ORDER) {
                0 => Ok(Cow::Owned(copy)),
                _ => Err(PyErr::fetch(py)),
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view was filled in, and its box leaked for this; views live on attached threads only.
        unsafe {
            ffi::PyBuffer_Release(self.0.as_ptr());
            drop(Box::from_raw(self.0.as_ptr()));
        }
    }
}
