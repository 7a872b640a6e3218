//! Keys of dicts: the types they may have, their text in JSON, and the refusal of all others.
#![allow(unsafe_code)] // looks at types and storage of keys that others keep alive
#![expect(clippy::inline_always, reason = "one check for each key of each dict")]

use std::collections::HashSet;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyFloatMethods, PyString};
use serde::{Serialize, Serializer};

use super::datetime_uuid_decimal::{self, Temporal};
use super::error_path::Segment;
use super::kind::Kind;
use super::text_form::TextForm;
use super::utf8_out;
use super::value::Value;
use super::walk;
use crate::Format;
use crate::error::cut;
use crate::py::layout::{self, Int};
use crate::py::str_layout;

/// A key of a map; the caller keeps it alive.
pub(super) struct Key<'w, 'a, 'py>(pub(super) Value<'w, 'a, 'py>);

impl Key<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn check<E: serde::ser::Error>(&self) -> Result<(), E> {
        // SAFETY: the key is alive.
        if unsafe { ffi::PyUnicode_CheckExact(self.0.ob) } != 0 { Ok(()) } else { self.check_other() }
    }

    #[inline(never)]
    fn check_other<E: serde::ser::Error>(&self) -> Result<(), E> {
        // SAFETY: the key is alive.
        if unsafe { ffi::PyUnicode_Check(self.0.ob) } != 0 {
            return Ok(());
        }
        let spec = self.0.walk.writing.spec;
        // SAFETY: the key is alive.
        let binary = unsafe {
            (ffi::PyLong_Check(self.0.ob) != 0 && ffi::PyBool_Check(self.0.ob) == 0)
                || ffi::PyBytes_Check(self.0.ob) != 0
        };
        if spec.any_keys && spec.format == Format::Msgpack && binary {
            return Ok(());
        }
        // Code runs to show the key, or to write its text.
        self.0.walk.before_code()?;
        Err(self.0.refuse_key())
    }

    #[cold]
    pub(super) fn segment(&self) -> Segment {
        // SAFETY: the key is alive; its type was checked.
        unsafe {
            if ffi::PyUnicode_Check(self.0.ob) != 0 {
                return Segment::Key(utf8_out::lossy(&str_layout::text(self.0.ob)));
            }
            if ffi::PyBytes_Check(self.0.ob) != 0 {
                return Segment::Key(String::from_utf8_lossy(layout::bytes(self.0.ob)).into_owned());
            }
            match layout::int(self.0.ob) {
                Int::Signed(key) => Segment::Key(key.to_string()),
                Int::Unsigned(key) => Segment::Key(key.to_string()),
                Int::TooLarge => Segment::Key("int".into()),
            }
        }
    }

    #[inline(never)]
    fn serialize_other<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the key is alive, and an int or bytes.
        unsafe {
            if ffi::PyLong_Check(self.0.ob) != 0 {
                self.0.int(to)
            } else {
                to.serialize_bytes(layout::bytes(self.0.ob))
            }
        }
    }
}

impl Serialize for Key<'_, '_, '_> {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the key is alive; its type was checked.
        unsafe { if ffi::PyUnicode_Check(self.0.ob) != 0 { self.0.text(to) } else { self.serialize_other(to) } }
    }
}

/// Enums whose value is an enum, around one key.
const MAX_ENUMS: usize = 32;

impl<'py> Value<'_, '_, 'py> {
    /// Captures the entries of the snapshot from `start` on once more, with text for keys, where JSON takes keys of any type
    /// and one of them is no `str`. Returns where the entries to write begin.
    pub(super) fn text_keys<E: serde::ser::Error>(self, start: usize) -> Result<usize, E> {
        let (spec, snapshot) = (self.walk.writing.spec, &self.walk.snapshot);
        let end = snapshot.len();
        let object_at = |index| self.child(snapshot.get(index)).object();
        let is_text = |index| object_at(index).is_exact_instance_of::<PyString>();
        if spec.format != Format::Json || !spec.any_keys || (start..end).step_by(2).all(is_text) {
            return Ok(start);
        }
        self.walk.before_code()?;
        let mut seen = HashSet::with_capacity((end - start) / 2);
        for index in (start..end).step_by(2) {
            let key = object_at(index);
            let text = self.child(key.as_ptr()).key_text()?;
            let chars = text.to_string_lossy().into_owned();
            if seen.contains(&chars) {
                let (text, key) = (cut(&chars), shown(&key));
                return Err(self.walk.refuse(format!("two keys have the text {text:?}, the second of type {key}")));
            }
            seen.insert(chars);
            snapshot.push(text.into_any());
            snapshot.push(object_at(index + 1));
        }
        Ok(end)
    }

    /// The text of this key, as orjson writes it.
    fn key_text<E: serde::ser::Error>(self) -> Result<Bound<'py, PyString>, E> {
        let py = self.walk.py;
        let mut key = self.object();
        for _ in 0..MAX_ENUMS {
            let value = self.child(key.as_ptr());
            if let Ok(text) = key.cast::<PyString>() {
                return Ok(text.clone());
            }
            if key.is_none() {
                return Ok(intern!(py, "null").clone());
            }
            if let Ok(bool) = key.cast::<PyBool>() {
                return Ok(if bool.is_true() { intern!(py, "true") } else { intern!(py, "false") }.clone());
            }
            match value.kind(&key)? {
                Kind::Int => {
                    let digits = key.extract().map(|int: i64| int.to_string());
                    let digits = digits.or_else(|_| key.extract().map(|int: u64| int.to_string()));
                    return digits.map_err(|_| value.too_large()).map(|digits| PyString::new(py, &digits));
                }
                Kind::Float => {
                    let float = key.cast::<PyFloat>().map_or(f64::NAN, PyFloatMethods::value);
                    let mut digits = zmij::Buffer::new();
                    let text = if float.is_finite() { digits.format_finite(float) } else { "null" };
                    return Ok(PyString::new(py, text));
                }
                Kind::Temporal(form) if is_key(form) => {
                    return self.text_form_key(datetime_uuid_decimal::text(form, &key));
                }
                Kind::Foreign(form) if is_key(form) => {
                    return self.text_form_key(datetime_uuid_decimal::foreign(form, &key));
                }
                Kind::Enum => key = key.getattr(intern!(py, "_value_")).map_err(|error| self.walk.raised(error))?,
                _ => break,
            }
        }
        Err(self.refuse_key())
    }

    fn text_form_key<E: serde::ser::Error>(self, text: PyResult<TextForm<'py>>) -> Result<Bound<'py, PyString>, E> {
        let py = self.walk.py;
        match text.map_err(|error| self.walk.raised(error))? {
            TextForm::Object(text) => Ok(text),
            TextForm::Short(text) => Ok(PyString::new(py, text.as_str())),
            TextForm::Long(text) => Ok(PyString::new(py, &text)),
            TextForm::Null => Ok(intern!(py, "null").clone()),
            TextForm::None => Err(self.refuse_key()),
        }
    }

    /// Refuses this key; its `repr` is asked for, so code may run.
    #[cold]
    pub(super) fn refuse_key<E: serde::ser::Error>(self) -> E {
        let taken = match (self.walk.writing.spec.format, self.walk.writing.spec.any_keys) {
            (Format::Json, false) => {
                "str; JsonCodec(keys=\"any\") writes int, float, bool, None, UUID, datetime, date, time and enums as text"
            }
            (Format::Json, true) => "str, or int, float, bool, None, UUID, datetime, date, time and enums as text",
            (_, false) => "str; MsgpackCodec(keys=\"any\") takes int and bytes as well",
            (_, true) => "str, int and bytes",
        };
        self.walk.refuse(format!("key of type {}; keys are {taken}", shown(&self.object())))
    }
}

fn is_key(form: Temporal) -> bool {
    matches!(form, Temporal::DateTime | Temporal::Date | Temporal::Time | Temporal::Uuid)
}

/// Type and `repr` of a key, as far as there is one.
fn shown(key: &Bound<'_, PyAny>) -> String {
    let name = walk::type_name(key);
    key.repr().map_or_else(|_| name.clone(), |repr| format!("{name}: {}", cut(&repr.to_string_lossy())))
}
