//! State of the process that the interpreter lock guards.
#![allow(unsafe_code)] // shared between threads without a lock of its own

use std::cell::UnsafeCell;

use pyo3::Python;

/// A value that attached threads reach, one at a time.
pub(crate) struct GilCell<T>(UnsafeCell<T>);

// SAFETY: the value is reached with a `Python` token only, and the interpreter lock is held where there is one.
unsafe impl<T> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    /// While the reference is used no Python code runs, which could give the lock away or come back here, and there is
    /// no other reference.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        clippy::inline_always,
        reason = "the caller's promise; a cell, reached for each key"
    )]
    pub(crate) unsafe fn get(&self, _py: Python<'_>) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}
