//! Keys of maps that are no `str`: their text in JSON, and what is said of those that are refused.

use std::collections::HashSet;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyFloatMethods, PyString};

use super::path::cut;
use super::temporal::{self, Standard, Temporal};
use super::type_cache::Kind;
use super::value::Value;
use crate::codec::Format;

/// Enums whose value is an enum, around one key.
const MAX_ENUMS: usize = 32;

impl<'py> Value<'_, '_, 'py> {
    /// Holds the entries that are held from `start` on once more, with text for keys, where JSON takes keys of any type
    /// and one of them is no `str`. Returns where the entries to write begin.
    pub(super) fn text_keys<E: serde::ser::Error>(self, start: usize) -> Result<usize, E> {
        let (spec, held) = (self.walk.writing.spec, &self.walk.held);
        let end = held.len();
        let object_at = |index| self.child(held.get(index)).object();
        let is_text = |index| object_at(index).is_exact_instance_of::<PyString>();
        if spec.format != Format::Json || !spec.any_keys || (start..end).step_by(2).all(is_text) {
            return Ok(start);
        }
        self.walk.run()?;
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
            held.push(text.into_any());
            held.push(object_at(index + 1));
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
                Kind::Temporal(form) if is_key(form) => return self.standard_key(temporal::text(form, &key)),
                Kind::Foreign(form) if is_key(form) => return self.standard_key(temporal::foreign(form, &key)),
                Kind::Enum => key = key.getattr(intern!(py, "_value_")).map_err(|error| self.walk.raised(error))?,
                _ => break,
            }
        }
        Err(self.refuse_key())
    }

    fn standard_key<E: serde::ser::Error>(self, text: PyResult<Standard<'py>>) -> Result<Bound<'py, PyString>, E> {
        let py = self.walk.py;
        match text.map_err(|error| self.walk.raised(error))? {
            Standard::Object(text) => Ok(text),
            Standard::Short { bytes, len } => {
                Ok(PyString::new(py, std::str::from_utf8(&bytes[..len]).unwrap_or_default()))
            }
            Standard::Long(text) => Ok(PyString::new(py, &text)),
            Standard::Null => Ok(intern!(py, "null").clone()),
            Standard::None => Err(self.refuse_key()),
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
    let name = super::walk::type_name(key);
    key.repr().map_or_else(|_| name.clone(), |repr| format!("{name}: {}", cut(&repr.to_string_lossy())))
}
