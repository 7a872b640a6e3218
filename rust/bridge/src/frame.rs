//! One item, encoded: immutable bytes for Rust, a buffer for Python.
#![allow(unsafe_code)] // the buffer protocol is a C structure filled in by hand

use std::ffi::{c_int, c_void};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::codec::{self, CodecSpec, Limits};

/// One encoded item. Dropping the last frame of a segment or mapping lets its memory go home.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame(Bytes);

impl Frame {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.0
    }
}

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One item, encoded. Supports the buffer protocol (read-only, no copy), `len()`, `bytes()` and comparison with bytes.
#[pyclass(frozen, name = "Frame", module = "pybridge")]
pub(crate) struct PyFrame {
    bytes: Bytes,
    spec: Arc<CodecSpec>,
    limits: Arc<Limits>,
}

impl PyFrame {
    /// A Python object may live for ever, so it holds at most this many times its size, and so many bytes on top.
    const PIN_FACTOR: usize = 4;
    const PIN_ALLOWANCE: usize = 4 << 10;

    /// True if a frame of `len` bytes may keep `pins` bytes from going home; else it is to be copied.
    pub(crate) fn may_hold(len: usize, pins: usize) -> bool {
        pins <= len.saturating_mul(Self::PIN_FACTOR).saturating_add(Self::PIN_ALLOWANCE)
    }

    pub(crate) fn new(bytes: Bytes, spec: Arc<CodecSpec>, limits: Arc<Limits>) -> Self {
        HELD.fetch_add(1, Ordering::Relaxed);
        Self { bytes, spec, limits }
    }

    /// Frames that Python code holds, each of which keeps its memory from going home.
    pub(crate) fn held() -> usize {
        HELD.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn spec(&self) -> &Arc<CodecSpec> {
        &self.spec
    }
}

#[python_entry]
impl Drop for PyFrame {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

#[python_entry]
#[pymethods]
impl PyFrame {
    /// The item, decoded by the codec and within the limits it was encoded with. Raises `DecodeError` or `LimitExceeded`.
    fn decode(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        codec::decode(py, &self.spec, &self.limits, &self.bytes).map_err(|error| error.into_py(py))
    }

    fn __len__(&self) -> usize {
        self.bytes.len()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    /// That of the `bytes` it is equal to.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyBytes::new(py, &self.bytes).hash()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        if let Ok(other) = other.cast::<Self>() {
            return self.bytes == other.get().bytes;
        }
        other.extract::<&[u8]>().is_ok_and(|other| self.bytes == other)
    }

    fn __repr__(&self) -> String {
        format!("<pybridge.Frame of {} bytes>", self.bytes.len())
    }

    /// # Safety
    /// Called by the interpreter with a `view` to fill in.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer to fill in"));
        }
        let bytes = &slf.get().bytes;
        let data = bytes.as_ptr().cast::<c_void>().cast_mut();
        let length = ffi::Py_ssize_t::try_from(bytes.len())?;
        // SAFETY: `view` is the interpreter's; the object it keeps a reference to owns the bytes, which never change or
        // move; a request for a writable view is refused by the call.
        let status = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data, length, 1, flags) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
