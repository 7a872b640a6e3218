//! Objects that are not of the commonest exact types.
#![allow(unsafe_code)] // reads the storage that an object's kind says it has

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use serde::Serializer;

use super::known::{self, Kind};
use super::temporal::Temporal;
use super::value::Value;
use super::view::View;
use super::walk::Failure;
use super::{numpy, object, temporal};
use crate::error::said;

impl<'py> Value<'_, '_, 'py> {
    /// Everything that is not one of the commonest exact types. Holds the object: from here on code may run.
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
                return to.serialize_bytes(object::bytes(self.ob));
            }
        }
        let py = self.walk.py;
        let kind = self.kind(&object)?;
        // SAFETY: the object is held; its kind is that of its type's base, whose storage it has.
        unsafe {
            match kind {
                Kind::Text => return self.text(to),
                Kind::Int => return self.int(to),
                Kind::Float => return to.serialize_f64(ffi::PyFloat_AS_DOUBLE(self.ob)),
                Kind::Tuple => return self.tuple(to),
                Kind::List => return self.list(to),
                Kind::Dict => return self.dict(to),
                Kind::Bytes => return to.serialize_bytes(object::bytes(self.ob)),
                _ => self.walk.run()?,
            }
        }
        match kind {
            Kind::Memory => self.memory(to),
            Kind::Enum => self.instead(object.getattr(intern!(py, "_value_")), to),
            Kind::Root => self.instead(object.getattr(intern!(py, "root")), to),
            Kind::Record(shape) => self.record(&shape, to),
            Kind::Scalar | Kind::Array => numpy::serialize(self, kind == Kind::Scalar, to),
            Kind::Temporal(kind) => self.temporal(kind, to),
            _ => self.hook(to),
        }
    }

    #[inline(never)]
    pub(super) fn kind<E: serde::ser::Error>(self, object: &Bound<'_, PyAny>) -> Result<Kind, E> {
        let ty = object.get_type();
        if let Some(kind) = known::kind(&ty) {
            return Ok(kind);
        }
        self.walk.run()?;
        known::learn(&ty).map_err(|error| self.walk.raised(error))
    }

    #[inline(never)]
    fn temporal<S: Serializer>(self, kind: Temporal, to: S) -> Result<S::Ok, S::Error> {
        match temporal::text(kind, &self.object()) {
            Ok(text) => to.serialize_str(text.as_str()),
            Err(error) => Err(self.walk.raised(error)),
        }
    }

    #[inline(never)]
    fn instead<S: Serializer>(self, answer: PyResult<Bound<'py, PyAny>>, to: S) -> Result<S::Ok, S::Error> {
        let answer = answer.map_err(|error| self.walk.raised(error))?;
        self.walk.stand_in(&answer, to)
    }

    /// A memoryview, contiguous or not, as the bytes it shows.
    #[inline(never)]
    fn memory<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let raised = |error| self.walk.raised(error);
        let view = View::of(&self.object()).map_err(raised)?;
        let len = view.len();
        if len > self.walk.limits.max_frame_bytes {
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
        let Some(hook) = &self.walk.spec.default else { return Err(self.unknown("")) };
        let object = self.object();
        self.walk.check_stand_ins(&object)?;
        match hook.bind(self.walk.py).call1((&object,)) {
            Ok(answer) if answer.is(&object) => {
                Err(self.walk.refuse(format!("default= gave back what it was given, of type {}", self.type_name())))
            }
            Ok(answer) => self.walk.stand_in(&answer, to),
            Err(error) => {
                let reason = format!("default= raised for an object of type {}: {}", self.type_name(), said(&error));
                Err(self.walk.fail(Failure::Raised(reason, error)))
            }
        }
    }
}
