//! Serialization of all objects but those of exact builtin types, by the kind of their type.
#![allow(unsafe_code)] // reads the storage that an object's kind says it has

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use serde::Serializer;

use super::datetime_uuid_decimal;
use super::kind::Kind;
use super::numpy;
use super::pydantic::Version;
use super::text_form::TextForm;
use super::type_cache;
use super::value::Value;
use super::walk::Failure;
use crate::py::buffer::View;
use crate::py::layout;

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
                Kind::Record(fields) => {
                    self.walk.before_code()?;
                    self.record(&fields, to)
                }
                kind => self.by_code(kind, to),
            }
        }
    }

    /// By code that may be Python's.
    #[inline(never)]
    fn by_code<S: Serializer>(self, kind: Kind, to: S) -> Result<S::Ok, S::Error> {
        self.walk.before_code()?;
        match kind {
            Kind::Model(Version::Two) => self.model(to),
            Kind::Model(Version::One) if self.walk.writing.default.is_none() => {
                Err(self.unknown(", a model of pydantic 1"))
            }
            Kind::Memory => self.memory(to),
            Kind::Enum => self.instead(self.object().getattr(intern!(self.walk.py, "_value_")), to),
            Kind::Scalar | Kind::Array => numpy::serialize(self, kind == Kind::Scalar, to),
            Kind::Temporal(kind) => self.text_form(datetime_uuid_decimal::text(kind, &self.object()), to),
            Kind::Foreign(kind) => self.text_form(datetime_uuid_decimal::foreign(kind, &self.object()), to),
            _ => self.hook(to),
        }
    }

    #[inline(never)]
    pub(super) fn kind<E: serde::ser::Error>(self, object: &Bound<'_, PyAny>) -> Result<Kind, E> {
        let ty = object.get_type();
        if let Some(kind) = type_cache::get(&ty) {
            return Ok(kind);
        }
        self.walk.before_code()?;
        type_cache::learn(&ty).map_err(|error| self.walk.raised(error))
    }

    #[inline(never)]
    fn text_form<S: Serializer>(self, text: PyResult<TextForm<'_>>, to: S) -> Result<S::Ok, S::Error> {
        match text {
            Ok(TextForm::Short(text)) => to.serialize_str(text.as_str()),
            Ok(TextForm::Long(text)) => to.serialize_str(&text),
            Ok(TextForm::Object(text)) => self.child(text.as_ptr()).text(to),
            Ok(TextForm::Null) => to.serialize_unit(),
            Ok(TextForm::None) => self.hook(to),
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
}
