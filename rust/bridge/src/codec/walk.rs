//! A Python object as a serde value: one pass, nothing borrowed while Python code can run.
#![allow(unsafe_code)] // reads elements of builtin containers without a reference where no code can run before their use

use std::cell::{Cell, RefCell};

use pyo3::ffi;
use pyo3::prelude::*;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::object::{self, Int, Text};
use super::path::{Path, Segment};
use super::{CodecSpec, Limits, transcode};
use crate::error::EncodeError;

/// What went wrong, before it is known where.
#[derive(Debug)]
pub(super) enum Failure {
    Value(String),
    Limit(&'static str, String),
    Raised(PyErr),
}

/// The state of one walk.
pub(super) struct Walk<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) spec: &'a CodecSpec,
    limits: &'a Limits,
    depth: Cell<usize>,
    nodes: Cell<usize>,
    hooks: Cell<usize>,
    failure: RefCell<Option<Failure>>,
    path: RefCell<Path>,
    scratch: RefCell<Vec<u8>>,
}

/// A `default` hook that answers with something it must be asked about again is asked this often.
const MAX_HOOKS: usize = 32;

impl<'a, 'py> Walk<'a, 'py> {
    pub(super) fn new(py: Python<'py>, spec: &'a CodecSpec, limits: &'a Limits) -> Self {
        Self {
            py,
            spec,
            limits,
            depth: Cell::new(0),
            nodes: Cell::new(1),
            hooks: Cell::new(0),
            failure: RefCell::new(None),
            path: RefCell::default(),
            scratch: RefCell::default(),
        }
    }

    /// The walk's root.
    pub(super) fn root(&self, item: &'a Bound<'py, PyAny>) -> Value<'_, 'a, 'py> {
        Value { walk: self, ob: item.as_ptr() }
    }

    /// What a failed walk has to say; `format` is the serializer's own reason.
    pub(super) fn into_error(self, format: &dyn std::fmt::Display) -> EncodeError {
        let path = self.path.into_inner().to_string();
        match self.failure.into_inner() {
            Some(Failure::Value(reason)) => EncodeError::Value { path, reason },
            Some(Failure::Limit(limit, reason)) => EncodeError::Limit { limit, path, reason },
            Some(Failure::Raised(error)) => EncodeError::Raised { path, error },
            None => EncodeError::Value { path, reason: format.to_string() },
        }
    }

    #[cold]
    pub(super) fn fail<E: serde::ser::Error>(&self, failure: Failure) -> E {
        self.failure.borrow_mut().get_or_insert(failure);
        E::custom("")
    }

    #[cold]
    fn changed<E: serde::ser::Error>(&self) -> E {
        self.fail(Failure::Value("container changed while it was encoded".into()))
    }

    #[cold]
    fn at<E>(&self, segment: Segment, error: E) -> E {
        self.path.borrow_mut().push(segment);
        error
    }

    /// Counts a container of `len` values that opens.
    #[inline]
    fn enter<E: serde::ser::Error>(&self, len: usize) -> Result<(), E> {
        let depth = self.depth.get() + 1;
        let nodes = self.nodes.get() + len;
        if depth > self.limits.max_depth || nodes > self.limits.max_nodes {
            return Err(self.over(depth));
        }
        self.depth.set(depth);
        self.nodes.set(nodes);
        Ok(())
    }

    #[inline]
    fn leave(&self) {
        self.depth.set(self.depth.get() - 1);
    }

    #[cold]
    fn over<E: serde::ser::Error>(&self, depth: usize) -> E {
        let Limits { max_depth, max_nodes, .. } = self.limits;
        self.fail(if depth > *max_depth {
            Failure::Limit("max_depth", format!("more than {max_depth} containers inside one another"))
        } else {
            Failure::Limit("max_nodes", format!("more than {max_nodes} values"))
        })
    }
}

/// One object of the walk; the caller keeps it alive while it is serialized.
#[derive(Clone, Copy)]
pub(super) struct Value<'w, 'a, 'py> {
    walk: &'w Walk<'a, 'py>,
    ob: *mut ffi::PyObject,
}

impl Serialize for Value<'_, '_, '_> {
    #[inline]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ob = self.ob;
        // SAFETY: `ob` is alive; the addresses are those of the interpreter's static types.
        unsafe {
            let ty = ffi::Py_TYPE(ob);
            if ty == &raw mut ffi::PyUnicode_Type {
                self.text(to)
            } else if ty == &raw mut ffi::PyLong_Type {
                self.int(to)
            } else if ty == &raw mut ffi::PyFloat_Type {
                to.serialize_f64(ffi::PyFloat_AS_DOUBLE(ob))
            } else if ty == &raw mut ffi::PyBool_Type {
                to.serialize_bool(ob == ffi::Py_True())
            } else if ob == ffi::Py_None() {
                to.serialize_unit()
            } else if ty == &raw mut ffi::PyDict_Type {
                self.dict(to)
            } else if ty == &raw mut ffi::PyList_Type {
                self.list(to)
            } else {
                self.other(to)
            }
        }
    }
}

impl<'py> Value<'_, '_, 'py> {
    #[inline]
    fn child(self, ob: *mut ffi::PyObject) -> Self {
        Self { ob, ..self }
    }

    fn object(self) -> Bound<'py, PyAny> {
        // SAFETY: `ob` is alive.
        unsafe { Bound::from_borrowed_ptr(self.walk.py, self.ob) }
    }

    fn type_name(self) -> String {
        self.object().get_type().fully_qualified_name().map_or_else(|_| "?".into(), |name| name.to_string())
    }

    #[inline]
    fn text<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the object is a str and alive; serializing text runs no Python code.
        match unsafe { object::text(self.ob) } {
            Text::Utf8(text) => to.serialize_str(text),
            wide => self.wide(to, &wide),
        }
    }

    #[inline(never)]
    fn wide<S: Serializer>(self, to: S, text: &Text<'_>) -> Result<S::Ok, S::Error> {
        let mut scratch = self.walk.scratch.borrow_mut();
        scratch.clear();
        if let Err(transcode::Surrogate(point)) = transcode::append(text, &mut scratch) {
            return Err(self.walk.fail(Failure::Value(format!("str holds the surrogate U+{point:04X}"))));
        }
        // SAFETY: the transcoder writes UTF-8 only.
        to.serialize_str(unsafe { std::str::from_utf8_unchecked(&scratch) })
    }

    #[inline]
    fn int<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the object is an int and alive, the thread attached.
        match unsafe { object::int(self.ob) } {
            Int::Signed(value) => to.serialize_i64(value),
            Int::Unsigned(value) => to.serialize_u64(value),
            Int::TooLarge => Err(self.walk.fail(Failure::Value("int outside -2**63 .. 2**64-1".into()))),
        }
    }

    #[inline(never)]
    fn list<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a list, held alive; its size is read again before each element, and the element's use begins
        // before any code runs.
        let len = unsafe { ffi::PyList_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        for index in 0..len {
            // SAFETY: as above.
            let item = unsafe {
                if index >= ffi::PyList_GET_SIZE(self.ob) {
                    return Err(self.walk.changed());
                }
                ffi::PyList_GET_ITEM(self.ob, index)
            };
            if item.is_null() {
                return Err(self.walk.changed());
            }
            if let Err(error) = seq.serialize_element(&self.child(item)) {
                return Err(self.walk.at(Segment::Index(index.cast_unsigned()), error));
            }
        }
        // SAFETY: as above.
        if unsafe { ffi::PyList_GET_SIZE(self.ob) } != len {
            return Err(self.walk.changed());
        }
        self.walk.leave();
        seq.end()
    }

    #[inline(never)]
    fn tuple<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a tuple, held alive; tuples do not change.
        let len = unsafe { ffi::PyTuple_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        for index in 0..len {
            // SAFETY: as above.
            let item = unsafe { ffi::PyTuple_GET_ITEM(self.ob, index) };
            if item.is_null() {
                return Err(self.walk.changed());
            }
            if let Err(error) = seq.serialize_element(&self.child(item)) {
                return Err(self.walk.at(Segment::Index(index.cast_unsigned()), error));
            }
        }
        self.walk.leave();
        seq.end()
    }

    #[inline(never)]
    fn dict<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a dict, held alive.
        let len = unsafe { object::dict_len(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut map = to.serialize_map(Some(len.cast_unsigned()))?;
        let (mut position, mut written) = (0, 0);
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `PyDict_Next` checks its position against the dict as it is now; key and value are used before any
        // code runs, or held.
        while unsafe { ffi::PyDict_Next(self.ob, &raw mut position, &raw mut key, &raw mut value) } != 0 {
            // SAFETY: as above.
            if written == len || unsafe { object::dict_len(self.ob) } != len {
                return Err(self.walk.changed());
            }
            written += 1;
            let key = Key(self.child(key));
            key.check()?;
            let _key_alive = key.0.object();
            if let Err(error) = map.serialize_entry(&key, &self.child(value)) {
                return Err(self.walk.at(key.segment(), error));
            }
        }
        // SAFETY: as above.
        if written != len || unsafe { object::dict_len(self.ob) } != len {
            return Err(self.walk.changed());
        }
        self.walk.leave();
        map.end()
    }

    /// Everything that is not one of the commonest exact types.
    #[inline(never)]
    fn other<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is alive, and each reader gets the type it needs.
        unsafe {
            let ty = ffi::Py_TYPE(self.ob);
            let is = |flag| ffi::PyType_HasFeature(ty, flag) != 0;
            if is(ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
                self.text(to)
            } else if is(ffi::Py_TPFLAGS_LONG_SUBCLASS) {
                self.int(to)
            } else if is(ffi::Py_TPFLAGS_TUPLE_SUBCLASS) {
                self.tuple(to)
            } else if is(ffi::Py_TPFLAGS_DICT_SUBCLASS) {
                self.dict(to)
            } else if is(ffi::Py_TPFLAGS_LIST_SUBCLASS) {
                self.list(to)
            } else if is(ffi::Py_TPFLAGS_BYTES_SUBCLASS) || ffi::PyByteArray_Check(self.ob) != 0 {
                to.serialize_bytes(object::bytes(self.ob))
            } else if ffi::PyFloat_Check(self.ob) != 0 {
                to.serialize_f64(ffi::PyFloat_AS_DOUBLE(self.ob))
            } else if ty == &raw mut ffi::PyMemoryView_Type {
                self.memory(to)
            } else {
                self.hook(to)
            }
        }
    }

    /// A memoryview, contiguous or not, as the bytes it shows.
    fn memory<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let raised = |error| self.walk.fail(Failure::Raised(error));
        let buffer = pyo3::buffer::PyUntypedBuffer::get(&self.object()).map_err(raised)?;
        let len = buffer.len_bytes();
        if len > self.walk.limits.max_frame_bytes {
            return Err(self.walk.fail(Failure::Limit("max_frame_bytes", format!("a memoryview of {len} bytes"))));
        }
        if buffer.is_c_contiguous() {
            // SAFETY: the buffer is contiguous and exported for as long as `buffer` lives; no code runs while it is copied.
            return to.serialize_bytes(unsafe { contiguous(&buffer) });
        }
        let bytes: Bound<'_, PyAny> = self.object().call_method0("tobytes").map_err(raised)?;
        // SAFETY: `memoryview.tobytes` gives bytes.
        to.serialize_bytes(unsafe { object::bytes(bytes.as_ptr()) })
    }

    fn hook<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let walk = self.walk;
        let Some(hook) = &walk.spec.default else {
            return Err(walk.fail(Failure::Value(format!("cannot encode {}", self.type_name()))));
        };
        if walk.hooks.get() == MAX_HOOKS {
            return Err(walk.fail(Failure::Value(format!("default was asked {MAX_HOOKS} nested times"))));
        }
        let answer = hook.bind(walk.py).call1((self.object(),)).map_err(|error| walk.fail(Failure::Raised(error)))?;
        walk.hooks.set(walk.hooks.get() + 1);
        let done = self.child(answer.as_ptr()).serialize(to);
        walk.hooks.set(walk.hooks.get() - 1);
        done
    }
}

/// The bytes of a contiguous buffer.
///
/// # Safety
/// The buffer is contiguous, and nothing writes to it during `'a`.
unsafe fn contiguous(buffer: &pyo3::buffer::PyUntypedBuffer) -> &[u8] {
    if buffer.len_bytes() == 0 {
        return &[];
    }
    // SAFETY: the exporter keeps `len_bytes` bytes there while the buffer is held.
    unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes()) }
}

/// A key of a dict.
struct Key<'w, 'a, 'py>(Value<'w, 'a, 'py>);

impl Key<'_, '_, '_> {
    #[inline]
    fn check<E: serde::ser::Error>(&self) -> Result<(), E> {
        // SAFETY: the key is alive: the dict holds it and no code has run since it was read.
        if unsafe { ffi::PyUnicode_Check(self.0.ob) } != 0 { Ok(()) } else { self.check_other() }
    }

    #[inline(never)]
    fn check_other<E: serde::ser::Error>(&self) -> Result<(), E> {
        // SAFETY: as above.
        let (int, bytes, bool) = unsafe {
            (ffi::PyLong_Check(self.0.ob) != 0, ffi::PyBytes_Check(self.0.ob) != 0, ffi::PyBool_Check(self.0.ob) != 0)
        };
        if self.0.walk.spec.any_keys && (int || bytes) && !bool {
            return Ok(());
        }
        Err(self.0.walk.fail(Failure::Value(format!("key of type {}; keys are str", self.0.type_name()))))
    }

    #[cold]
    fn segment(&self) -> Segment {
        // SAFETY: the caller holds the key; its type was checked.
        unsafe {
            if ffi::PyUnicode_Check(self.0.ob) != 0 {
                let mut key = Vec::new();
                let _ = transcode::append(&object::text(self.0.ob), &mut key);
                return Segment::Key(String::from_utf8_lossy(&key).into_owned());
            }
            if ffi::PyBytes_Check(self.0.ob) != 0 {
                return Segment::Key(String::from_utf8_lossy(object::bytes(self.0.ob)).into_owned());
            }
            match object::int(self.0.ob) {
                Int::Signed(key) => Segment::Key(key.to_string()),
                Int::Unsigned(key) => Segment::Key(key.to_string()),
                Int::TooLarge => Segment::Key("int".into()),
            }
        }
    }
}

impl Serialize for Key<'_, '_, '_> {
    #[inline]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the key is alive; its type was checked.
        unsafe {
            if ffi::PyUnicode_Check(self.0.ob) != 0 {
                self.0.text(to)
            } else if ffi::PyLong_Check(self.0.ob) != 0 {
                self.0.int(to)
            } else {
                to.serialize_bytes(object::bytes(self.0.ob))
            }
        }
    }
}
