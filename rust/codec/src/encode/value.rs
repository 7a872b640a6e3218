//! One Python object as a value that serde serializes: exact builtin types here, all others by their kind.
#![allow(unsafe_code)] // looks at types and storage of objects that others keep alive
#![expect(clippy::inline_always, reason = "a leaf inside a container's loop is cheaper than a call")]

use std::cell::Cell;
use std::fmt;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use serde::{Serialize, Serializer};

use super::error_path::Segment;
use super::utf8_out::{self, BLOCK};
use super::walk::{self, Walk};
use crate::error::cut;
use crate::py::layout::{self, Int};
use crate::py::str_layout::{self, Text};

/// One object of the walk; the caller keeps it alive while it is serialized, whatever code that runs.
#[derive(Clone, Copy)]
pub(super) struct Value<'w, 'a, 'py> {
    pub(super) walk: &'w Walk<'a, 'py>,
    pub(super) ob: *mut ffi::PyObject,
}

impl Serialize for Value<'_, '_, '_> {
    #[inline(always)]
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
            } else if ty == &raw mut ffi::PyDict_Type {
                self.dict(to)
            } else if ty == &raw mut ffi::PyList_Type {
                self.list(to)
            } else if ob == ffi::Py_None() {
                to.serialize_unit()
            } else if ty == &raw mut ffi::PyBool_Type {
                to.serialize_bool(ob == ffi::Py_True())
            } else {
                self.other(to)
            }
        }
    }
}

impl<'w, 'a, 'py> Value<'w, 'a, 'py> {
    #[inline(always)]
    pub(super) fn new(walk: &'w Walk<'a, 'py>, ob: *mut ffi::PyObject) -> Self {
        Self { walk, ob }
    }

    /// A value inside this one.
    #[inline(always)]
    pub(super) fn child(self, ob: *mut ffi::PyObject) -> Self {
        Self { ob, ..self }
    }

    /// A reference of its own.
    #[inline]
    pub(super) fn object(self) -> Bound<'py, PyAny> {
        // SAFETY: `ob` is alive.
        unsafe { Bound::from_borrowed_ptr(self.walk.py, self.ob) }
    }

    /// The type's name with its module.
    #[cold]
    pub(super) fn type_name(self) -> String {
        walk::type_name(&self.object())
    }

    /// The error, which came up in this container, behind `segment`.
    #[cold]
    pub(super) fn at<E>(self, segment: Segment, error: E) -> E {
        self.walk.at(segment, self.ob.addr(), error)
    }

    #[inline(always)]
    pub(super) fn text<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the object is a str and alive; serializing text runs no Python code.
        match unsafe { str_layout::text(self.ob) } {
            Text::Utf8(text) => to.serialize_str(text),
            wide => self.wide(to, &wide),
        }
    }

    #[inline(never)]
    fn wide<S: Serializer>(self, to: S, text: &Text<'_>) -> Result<S::Ok, S::Error> {
        let surrogate = Cell::new(false);
        let done = if text.points() > BLOCK {
            to.collect_str(&Wide { text, surrogate: &surrogate })
        } else {
            let mut block = utf8_out::Block::new();
            match block.fill(text, 0..text.points()) {
                Ok(text) => to.serialize_str(text),
                Err(utf8_out::Surrogate) => return Err(self.surrogate(text)),
            }
        };
        done.map_err(|error| if surrogate.get() { self.surrogate(text) } else { error })
    }

    #[cold]
    fn surrogate<E: serde::ser::Error>(self, text: &Text<'_>) -> E {
        self.walk.refuse(text.surrogate_reason())
    }

    #[inline(always)]
    pub(super) fn int<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the object is an int and alive, the thread attached.
        match unsafe { layout::int(self.ob) } {
            Int::Signed(value) => to.serialize_i64(value),
            Int::Unsigned(value) => to.serialize_u64(value),
            Int::TooLarge => Err(self.too_large()),
        }
    }

    #[cold]
    pub(super) fn too_large<E: serde::ser::Error>(self) -> E {
        let shown = int_repr(&self.object()).map_or_else(|_| "int".into(), |digits| format!("int {}", cut(&digits)));
        self.walk.refuse(format!("{shown} is outside -2**63 .. 2**64-1; str() makes text of it"))
    }
}

/// The digits of an `int`, whatever a subclass makes of them; Python refuses to write very many.
fn int_repr(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let class = object.py().get_type::<PyInt>();
    class.call_method1(intern!(object.py(), "__repr__"), (object,))?.extract()
}

/// Long text that is not stored as UTF-8; its alternate form is its length in UTF-8 bytes.
struct Wide<'t> {
    text: &'t Text<'t>,
    surrogate: &'t Cell<bool>,
}

impl fmt::Display for Wide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return fmt::Display::fmt(&self.text.utf8_len(), f);
        }
        let surrogate = || {
            self.surrogate.set(true);
            fmt::Error
        };
        self.text.for_each_block(surrogate, |piece| f.write_str(piece))
    }
}
