//! The kind of a type, found by its storage, its fields or its name: the way in which its objects are encoded.
#![allow(unsafe_code)] // asks for the flags of types

use std::sync::Arc;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDate, PyDateTime, PyDelta, PyTime, PyType, PyTypeMethods};

use super::dataclasses::RecordFields;
use super::datetime_uuid_decimal::Temporal;
use super::pydantic::{self, Version};
use crate::py::imported_classes::{inherits, loaded};

/// What to do with an object of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Tuple,
    List,
    Dict,
    /// `bytes` or `bytearray`.
    Bytes,
    /// A set, frozenset or deque.
    Each,
    /// A memoryview.
    Memory,
    /// Its `_value_`.
    Enum,
    /// A model of this version of pydantic.
    Model(Version),
    /// A map of fields.
    Record(Arc<RecordFields>),
    /// A number of numpy.
    Scalar,
    /// An array of numpy.
    Array,
    /// Text in a standard form.
    Temporal(Temporal),
    /// The same, of a class that compares for itself or counts nanoseconds.
    Foreign(Temporal),
    /// For the `default` hook.
    Unknown,
}

impl Kind {
    /// Finds out what to do with objects of `ty`.
    ///
    /// # Errors
    /// What a descriptor or metaclass of the type raises.
    pub(super) fn of(ty: &Bound<'_, PyType>) -> PyResult<Self> {
        if is_enum(ty)? {
            return Ok(Kind::Enum);
        }
        let py = ty.py();
        if let Some(kind) = builtin(ty) {
            let extension = kind == Kind::Tuple && inherits(ty, "msgpack.ext", "ExtType")?;
            return Ok(if extension { Kind::Unknown } else { kind });
        }
        match by_fields(ty) {
            Ok(Some(kind)) => Ok(kind),
            Ok(None) => by_name(ty),
            // It answers to the names that say what its fields are, but with something else.
            Err(error) if error.is_instance_of::<PyAttributeError>(py) || error.is_instance_of::<PyTypeError>(py) => {
                by_name(ty)
            }
            Err(error) => Err(error),
        }
    }
}

/// By what a class says of its fields, or pydantic of it.
fn by_fields(ty: &Bound<'_, PyType>) -> PyResult<Option<Kind>> {
    if let Some(version) = pydantic::version(ty)? {
        return Ok(Some(Kind::Model(version)));
    }
    Ok(RecordFields::of(ty)?.map(|fields| Kind::Record(Arc::new(fields))))
}

/// By the storage that a type inherits from a builtin one.
fn builtin(ty: &Bound<'_, PyType>) -> Option<Kind> {
    let ptr = ty.as_type_ptr();
    // SAFETY: the type is alive, the others are the interpreter's.
    unsafe {
        let is = |flag| ffi::PyType_HasFeature(ptr, flag) != 0;
        let under = |base: *mut ffi::PyTypeObject| ffi::PyType_IsSubtype(ptr, base) != 0;
        Some(if is(ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
            Kind::Text
        } else if is(ffi::Py_TPFLAGS_LONG_SUBCLASS) {
            Kind::Int
        } else if is(ffi::Py_TPFLAGS_TUPLE_SUBCLASS) {
            Kind::Tuple
        } else if is(ffi::Py_TPFLAGS_DICT_SUBCLASS) {
            Kind::Dict
        } else if is(ffi::Py_TPFLAGS_LIST_SUBCLASS) {
            Kind::List
        } else if is(ffi::Py_TPFLAGS_BYTES_SUBCLASS) || under(&raw mut ffi::PyByteArray_Type) {
            Kind::Bytes
        } else if under(&raw mut ffi::PyFloat_Type) {
            Kind::Float
        } else if under(&raw mut ffi::PySet_Type) || under(&raw mut ffi::PyFrozenSet_Type) {
            Kind::Each
        } else if ptr == &raw mut ffi::PyMemoryView_Type {
            Kind::Memory
        } else {
            return None;
        })
    }
}

fn is_enum(ty: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = ty.py();
    if ty.get_type().is(py.get_type::<PyType>()) {
        return Ok(false);
    }
    let Some(meta) = loaded(py, "enum", "EnumType")? else { return Ok(false) };
    ty.is_instance(&meta)
}

/// By the name of a class that the type is or inherits from, where that class is the module's own.
fn by_name(ty: &Bound<'_, PyType>) -> PyResult<Kind> {
    let py = ty.py();
    for base in ty.mro() {
        let Ok(base) = base.cast_into::<PyType>() else { continue };
        let (Ok(module), Ok(name)) = (base.module(), base.qualname()) else { continue };
        let (Ok(module), Ok(name)) = (module.to_str(), name.to_str()) else { continue };
        let kind = match (module, name) {
            ("datetime", "datetime") if base.is(py.get_type::<PyDateTime>()) => dated(ty, &base, Temporal::DateTime)?,
            ("datetime", "date") if base.is(py.get_type::<PyDate>()) => dated(ty, &base, Temporal::Date)?,
            ("datetime", "time") if base.is(py.get_type::<PyTime>()) => dated(ty, &base, Temporal::Time)?,
            ("datetime", "timedelta") if base.is(py.get_type::<PyDelta>()) => dated(ty, &base, Temporal::Delta)?,
            ("uuid", "UUID") => Kind::Temporal(Temporal::Uuid),
            ("decimal", "Decimal") => Kind::Temporal(Temporal::Decimal),
            ("pathlib" | "pathlib._local", "PurePath") => Kind::Temporal(Temporal::Path),
            ("ipaddress", "IPv4Address" | "IPv6Address" | "IPv4Network" | "IPv6Network") => {
                Kind::Temporal(Temporal::Address)
            }
            ("collections", "deque") => Kind::Each,
            ("numpy", "datetime64") => Kind::Temporal(Temporal::Numpy),
            ("numpy", "timedelta64") => Kind::Temporal(Temporal::NumpyDelta),
            ("numpy", "ndarray") if base.is(ty) => Kind::Array,
            ("numpy", "generic") => Kind::Scalar,
            _ => continue,
        };
        if loaded(py, module, name)?.is_some_and(|class| class.is(&base)) {
            return Ok(kind);
        }
    }
    Ok(Kind::Unknown)
}

/// The kind of a type that inherits from a date class.
fn dated(ty: &Bound<'_, PyType>, base: &Bound<'_, PyType>, kind: Temporal) -> PyResult<Kind> {
    let (py, equal) = (ty.py(), intern!(ty.py(), "__eq__"));
    let compares = !ty.getattr(equal)?.is(&base.getattr(equal)?);
    let counts = ty.hasattr(intern!(py, "nanosecond"))? || ty.hasattr(intern!(py, "nanoseconds"))?;
    Ok(if compares || counts { Kind::Foreign(kind) } else { Kind::Temporal(kind) })
}
