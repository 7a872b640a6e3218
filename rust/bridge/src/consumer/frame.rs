//! One item, encoded: immutable bytes for Rust, a buffer for Python.
#![allow(unsafe_code)] // the buffer protocol is a C structure filled in by hand; short frames are memory of the interpreter

use std::ffi::{c_int, c_void};
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyBufferError, PyIndexError, PyMemoryError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::slice::PySliceIndices;
use pyo3::types::{PyBytes, PyIterator, PyMemoryView, PySlice, PyTuple};
use pyo3::{IntoPyObjectExt, ffi, intern};

use crate::codec::{self, CodecSpec, DuplicateKeys, Format, Limits};
use crate::error::py_errors::IntoException;

/// One encoded item. Dropping the last frame of a segment or mapping lets its memory go
/// back to the pool.
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

/// The error that `bytes` raises for an index that is none.
#[cold]
fn wrong_index(index: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = index.py();
    if error.is_instance_of::<PyOverflowError>(py) {
        return PyIndexError::new_err("Frame index out of range");
    }
    match index.get_type().name() {
        Ok(name) if error.is_instance_of::<PyTypeError>(py) => {
            PyTypeError::new_err(format!("Frame indices must be integers or slices, not {name}"))
        }
        _ => error,
    }
}

/// Numbers that stand for limits where a frame is pickled, in this order for good.
type Numbers = (usize, usize, usize, usize, usize, usize, bool, usize);

fn numbers(limits: &Limits) -> Numbers {
    (
        limits.max_depth,
        limits.max_nodes,
        limits.max_frame_bytes,
        limits.max_decoded_bytes,
        limits.max_metadata_bytes,
        limits.max_metadata_entries,
        limits.duplicate_keys == DuplicateKeys::Error,
        limits.max_expansion,
    )
}

/// A frame as it was when it was pickled.
#[python_entry]
#[pyfunction]
pub(crate) fn restore_frame(
    data: &Bound<'_, PyBytes>,
    format: &str,
    any_keys: bool,
    limits: Numbers,
) -> PyResult<PyFrame> {
    let format = Format::from_name(format).ok_or_else(|| PyValueError::new_err(format!("no format {format:?}")))?;
    let (max_depth, max_nodes, max_frame_bytes, max_decoded_bytes, ..) = limits;
    let (.., max_metadata_bytes, max_metadata_entries, strict, max_expansion) = limits;
    let limits = Limits::default()
        .max_depth(max_depth)
        .max_nodes(max_nodes)
        .max_frame_bytes(max_frame_bytes)
        .max_decoded_bytes(max_decoded_bytes)
        .max_metadata_bytes(max_metadata_bytes)
        .max_metadata_entries(max_metadata_entries)
        .duplicate_keys(if strict { DuplicateKeys::Error } else { DuplicateKeys::Last })
        .max_expansion(max_expansion);
    let spec = CodecSpec::from(format).any_keys(any_keys);
    Ok(PyFrame::new(Bytes::copy_from_slice(data.as_bytes()), Arc::new(spec), Arc::new(limits)))
}

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Counts a frame that begins (1) or ends (-1). Threads that have the interpreter do so, one at a time.
fn count(change: isize) {
    HELD.store(HELD.load(Ordering::Relaxed).wrapping_add_signed(change), Ordering::Relaxed);
}

/// The codec and the limits of frames for which nobody asked for others.
#[derive(Debug)]
pub(crate) struct Usual {
    pub(crate) spec: Arc<CodecSpec>,
    pub(crate) limits: Arc<Limits>,
}

/// What a frame is decoded by.
#[derive(Debug)]
pub(crate) enum Terms {
    /// Counting who uses them would cost as much as a short frame.
    Usual(&'static Usual),
    Own(Arc<CodecSpec>, Arc<Limits>),
}

impl Terms {
    pub(crate) fn spec(&self) -> &CodecSpec {
        match self {
            Self::Usual(usual) => &usual.spec,
            Self::Own(spec, _) => spec,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        match self {
            Self::Usual(usual) => &usual.limits,
            Self::Own(_, limits) => limits,
        }
    }
}

/// A short frame's bytes, in memory for small objects of the interpreter, which counts nothing.
struct Short {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes never change; `PyFrame::short` makes them inside a Python object, whose end has the interpreter.
unsafe impl Send for Short {}
// SAFETY: as above.
unsafe impl Sync for Short {}

impl Short {
    fn new(_: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        // SAFETY: the token says that the thread is attached; as many bytes as were asked for are written.
        unsafe {
            let start = NonNull::new(ffi::PyMem_Malloc(bytes.len()).cast::<u8>());
            let start = start.ok_or_else(|| PyMemoryError::new_err(()))?;
            start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            Ok(Self { start, len: bytes.len() })
        }
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it; a Python object owned it, so the thread is attached.
        unsafe { ffi::PyMem_Free(self.start.as_ptr().cast()) };
    }
}

/// Where a frame's bytes are.
enum Data {
    Short(Short),
    Shared(Bytes),
}

/// One item, encoded. Supports the buffer protocol (read-only, no copy), `len()`, slices, `bytes()`,
/// comparison with bytes, and pickling.
#[pyclass(frozen, sequence, name = "Frame", module = "pybridge")]
pub(crate) struct PyFrame {
    data: Data,
    terms: Terms,
}

impl PyFrame {
    /// The most bytes that the interpreter has memory for small objects for.
    pub(crate) const SHORT: usize = 512;

    /// For a thread that has the interpreter.
    pub(crate) fn new(bytes: Bytes, spec: Arc<CodecSpec>, limits: Arc<Limits>) -> Self {
        Self::shared(bytes, Terms::Own(spec, limits))
    }

    /// For a thread that has the interpreter.
    pub(crate) fn shared(bytes: Bytes, terms: Terms) -> Self {
        count(1);
        Self { data: Data::Shared(bytes), terms }
    }

    /// A frame with bytes of its own; best where they are [few](Self::SHORT).
    pub(crate) fn short<'py>(py: Python<'py>, bytes: &[u8], terms: Terms) -> PyResult<Bound<'py, Self>> {
        let data = Data::Short(Short::new(py, bytes)?);
        count(1);
        Bound::new(py, Self { data, terms })
    }

    /// Frames that Python code holds, each of which keeps its memory from going back to
    /// the pool.
    pub(crate) fn held() -> usize {
        HELD.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Short(short) => {
                // SAFETY: so many bytes were written there, and stay as they are.
                unsafe { slice::from_raw_parts(short.start.as_ptr(), short.len) }
            }
            Data::Shared(bytes) => bytes,
        }
    }

    /// The same to keep; only short ones are copied.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match &self.data {
            Data::Short(_) => Bytes::copy_from_slice(self.bytes()),
            Data::Shared(bytes) => bytes.clone(),
        }
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }
}

#[python_entry]
impl Drop for PyFrame {
    fn drop(&mut self) {
        count(-1);
    }
}

#[python_entry]
#[pymethods]
impl PyFrame {
    /// The item, decoded by the codec and within the limits it was encoded with. Raises `DecodeError` or `LimitExceeded`.
    fn decode(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        codec::decode(py, self.terms.spec(), self.terms.limits(), self.bytes())
            .map_err(|error| error.into_exception(py))
    }

    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes())
    }

    /// That of the `bytes` it is equal to.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyBytes::new(py, self.bytes()).hash()
    }

    /// With frames and bytes; other objects are asked in their turn, and those that look into buffers know the answer.
    fn __richcmp__(&self, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let other = match (other.cast::<Self>(), other.cast::<PyBytes>()) {
            (Ok(other), _) => other.get().bytes(),
            (_, Ok(other)) => other.as_bytes(),
            _ => return Ok(py.NotImplemented()),
        };
        match op {
            CompareOp::Eq => (self.bytes() == other).into_py_any(py),
            CompareOp::Ne => (self.bytes() != other).into_py_any(py),
            _ => Ok(py.NotImplemented()),
        }
    }

    /// As of `bytes`: a number for an index, `bytes` for a slice.
    fn __getitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let len = self.bytes().len().cast_signed();
        let Ok(slice) = index.cast::<PySlice>() else {
            let index: isize = index.extract().map_err(|error| wrong_index(index, error))?;
            let from_start = if index < 0 { index + len } else { index };
            let byte = usize::try_from(from_start).ok().and_then(|index| self.bytes().get(index));
            return byte.ok_or_else(|| PyIndexError::new_err("Frame index out of range"))?.into_py_any(py);
        };
        let PySliceIndices { start, stop, step, slicelength } = slice.indices(len)?;
        if step == 1 {
            let range = start.cast_unsigned()..stop.max(start).cast_unsigned();
            return PyBytes::new(py, &self.bytes()[range]).into_py_any(py);
        }
        PyBytes::new_with(py, slicelength, |room| {
            for (index, byte) in (0..).zip(room) {
                *byte = self.bytes()[(start + step * index).cast_unsigned()];
            }
            Ok(())
        })?
        .into_py_any(py)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        PyMemoryView::from(slf)?.try_iter()
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// What `pickle` keeps: all but the `default` hook, which decoding does not need.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let restore = py.import(intern!(py, "pybridge._pybridge"))?.getattr(intern!(py, "restore_frame"))?;
        let bytes = PyBytes::new(py, self.bytes());
        let spec = self.terms.spec();
        let arguments = (bytes, spec.format.name(), spec.any_keys, numbers(self.terms.limits()));
        Ok((restore, arguments.into_pyobject(py)?))
    }

    fn __repr__(&self) -> String {
        format!("<pybridge.Frame of {} bytes>", self.bytes().len())
    }

    /// # Safety
    /// Called by the interpreter with a `view` to fill in.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer to fill in"));
        }
        let bytes = slf.get().bytes();
        let data = bytes.as_ptr().cast::<c_void>().cast_mut();
        let length = ffi::Py_ssize_t::try_from(bytes.len())?;
        // SAFETY: `view` is the interpreter's; the object it keeps a reference to owns the bytes, which never change or
        // move; a request for a writable view is refused by the call.
        let status = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data, length, 1, flags) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
