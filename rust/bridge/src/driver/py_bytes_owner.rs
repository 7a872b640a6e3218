//! `bytes` objects of Python that own the memory of a frame.
#![allow(unsafe_code)] // the bytes are read without the interpreter, which only their release needs

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::base::deferred_release::{LoopOwned, Owner};
use crate::codec::Keep;

/// A `bytes` object, held until the last view of its memory goes; it is released on its worker.
struct PyBytesOwner {
    bytes: *const [u8],
    _object: LoopOwned,
}

// SAFETY: the bytes never change; the object is released by `LoopOwned`, which any thread may drop.
unsafe impl Send for PyBytesOwner {}
// SAFETY: as above.
unsafe impl Sync for PyBytesOwner {}

impl AsRef<[u8]> for PyBytesOwner {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory is the object's own, which neither moves nor changes while the object is held.
        unsafe { &*self.bytes }
    }
}

/// Shares `bytes` objects; their release goes to `owner`.
pub(super) struct PyBytesKeeper(pub(super) Arc<dyn Owner>);

impl fmt::Debug for PyBytesKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PyBytesKeeper")
    }
}

impl Keep for PyBytesKeeper {
    fn keep(&self, object: &Bound<'_, PyBytes>) -> Bytes {
        let bytes = &raw const *object.as_bytes();
        let object = LoopOwned::new(object.clone().into_any().unbind(), Arc::clone(&self.0));
        Bytes::from_owner(PyBytesOwner { bytes, _object: object })
    }
}
