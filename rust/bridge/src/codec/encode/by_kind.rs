//! Objects that are not of the commonest exact types.
#![allow(unsafe_code)] // reads the storage that an object's kind says it has

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use serde::Serializer;

use super::numpy;
use super::temporal::{self, Standard};
use super::type_cache::{self, Kind};
use super::value::Value;
use super::walk::{Failure, type_name};
use crate::codec::py::buffer::View;
use crate::codec::py::layout;
use crate::interp::said;

impl<'py> Value<'_, '_, 'py> {
    /// Everything that is not one of the commonest exact types. Holds the object: from here on code may run. Containers
    /// nest through here, so its frame is small.
    #[inline(never)]
    pub(super) fn other<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let object = self.object();
        // SAFETY: the object is held, and of the type that its branch asked for.
        unsafe {
            let ty = ffi::Py_TYPE(self.ob);
            if ty == &raw mut ffi::PyTuple_Type {
                return self.tuple(to);
            }
            if ty == &raw mut ffi::PyBytes_Type || ty == &raw mut ffi::PyByteArray_Type {
                return to.serialize_bytes(layout::bytes(self.ob));
            }
        }
        let kind = self.kind(&object)?;
        // SAFETY: the object is held; its kind is that of its type's base, whose storage it has.
        unsafe {
            match kind {
                Kind::Text => self.text(to),
                Kind::Int => self.int(to),
                Kind::Float => to.serialize_f64(ffi::PyFloat_AS_DOUBLE(self.ob)),
                Kind::Tuple => self.tuple(to),
                Kind::List => self.list(to),
                Kind::Dict => self.dict(to),
                Kind::Bytes => to.serialize_bytes(layout::bytes(self.ob)),
                Kind::Each => self.each(to),
                Kind::Record(shape) => {
                    self.walk.run()?;
                    self.record(&shape, to)
                }
                kind => self.by_code(kind, to),
            }
        }
    }

    /// By code that may be Python's.
    #[inline(never)]
    fn by_code<S: Serializer>(self, kind: Kind, to: S) -> Result<S::Ok, S::Error> {
        self.walk.run()?;
        match kind {
            Kind::Model => self.model(to),
            Kind::ModelOfPydantic1 if self.walk.writing.default.is_none() => {
                Err(self.unknown(", a model of pydantic 1"))
            }
            Kind::Memory => self.memory(to),
            Kind::Enum => self.instead(self.object().getattr(intern!(self.walk.py, "_value_")), to),
            Kind::Scalar | Kind::Array => numpy::serialize(self, kind == Kind::Scalar, to),
            Kind::Temporal(kind) => self.standard(temporal::text(kind, &self.object()), to),
            Kind::Foreign(kind) => self.standard(temporal::foreign(kind, &self.object()), to),
            _ => self.hook(to),
        }
    }

    #[inline(never)]
    pub(super) fn kind<E: serde::ser::Error>(self, object: &Bound<'_, PyAny>) -> Result<Kind, E> {
        let ty = object.get_type();
        if let Some(kind) = type_cache::kind(&ty) {
            return Ok(kind);
        }
        self.walk.run()?;
        type_cache::learn(&ty).map_err(|error| self.walk.raised(error))
    }

    #[inline(never)]
    fn standard<S: Serializer>(self, text: PyResult<Standard<'_>>, to: S) -> Result<S::Ok, S::Error> {
        match text {
            Ok(Standard::Short { bytes, len }) => {
                to.serialize_str(std::str::from_utf8(&bytes[..len]).unwrap_or_default())
            }
            Ok(Standard::Long(text)) => to.serialize_str(&text),
            Ok(Standard::Object(text)) => self.child(text.as_ptr()).text(to),
            Ok(Standard::Null) => to.serialize_unit(),
            Ok(Standard::None) => self.hook(to),
            Err(error) => Err(self.walk.raised(error)),
        }
    }

    #[inline(never)]
    pub(super) fn instead<S: Serializer>(self, answer: PyResult<Bound<'py, PyAny>>, to: S) -> Result<S::Ok, S::Error> {
        let answer = answer.map_err(|error| self.walk.raised(error))?;
        self.walk.stand_in(&answer, to)
    }

    /// A memoryview, contiguous or not, as the bytes it shows.
    #[inline(never)]
    fn memory<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let raised = |error| self.walk.raised(error);
        let view = View::of(&self.object()).map_err(raised)?;
        let len = view.len();
        if len > self.walk.writing.limits.max_frame_bytes {
            return Err(self.walk.fail(Failure::Limit("max_frame_bytes", format!("a memoryview of {len} bytes"))));
        }
        to.serialize_bytes(&view.bytes(self.walk.py).map_err(raised)?)
    }

    /// Refuses an object that nothing converts; `detail` follows its type's name.
    #[cold]
    pub(super) fn unknown<E: serde::ser::Error>(self, detail: &str) -> E {
        let name = self.type_name();
        self.walk.refuse(format!("cannot encode {name}{detail}; give the codec default= to convert it"))
    }

    /// Asks the `default` hook.
    #[inline(never)]
    pub(super) fn hook<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let Some(hook) = self.walk.writing.default else { return Err(self.unknown("")) };
        let object = self.object();
        self.walk.check_stand_ins(&object)?;
        let answer = ask(hook, &object).map_err(|failure| self.walk.fail(failure))?;
        self.walk.stand_in(&answer, to)
    }
}

/// What the `default` hook gives for an object.
pub(super) fn ask<'py>(hook: &Py<PyAny>, object: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, Failure> {
    match hook.bind(object.py()).call1((object,)) {
        Ok(answer) if answer.is(object) => {
            Err(Failure::Value(format!("default= gave back what it was given, of type {}", type_name(object))))
        }
        Ok(answer) => Ok(answer),
        Err(error) => {
            let reason = format!("default= raised for an object of type {}: {}", type_name(object), said(&error));
            Err(Failure::Raised(reason, error))
        }
    }
}
