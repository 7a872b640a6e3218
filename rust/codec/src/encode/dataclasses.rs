//! Objects with named fields: dataclasses, `msgspec.Struct`, attrs classes.

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use serde::Serializer;

use super::error_path::Segment;
use super::value::Value;
use crate::py::imported_classes::loaded;

/// The fields of a type, in their order.
#[derive(Debug)]
pub(super) struct RecordFields {
    fields: Vec<Field>,
    /// A struct's tag, written first.
    tag: Option<(Py<PyString>, Py<PyAny>)>,
    /// What a field holds that is left out.
    unset: Option<Py<PyAny>>,
}

#[derive(Debug)]
struct Field {
    attribute: Py<PyString>,
    key: Py<PyString>,
}

impl PartialEq for RecordFields {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl RecordFields {
    /// The fields of a type that says what they are.
    pub(super) fn of(ty: &Bound<'_, PyType>) -> PyResult<Option<Self>> {
        let py = ty.py();
        if let Some(fields) = ty.getattr_opt(intern!(py, "__dataclass_fields__"))? {
            dataclass(ty, &fields)
        } else if let Some(fields) = ty.getattr_opt(intern!(py, "__struct_fields__"))? {
            structure(ty, &fields)
        } else if let Some(attributes) = ty.getattr_opt(intern!(py, "__attrs_attrs__"))? {
            attrs(&attributes)
        } else {
            return Ok(None);
        }
        .map(Some)
    }

    fn named(names: impl IntoIterator<Item = PyResult<Py<PyString>>>, py: Python<'_>) -> PyResult<Self> {
        let field = |name: PyResult<Py<PyString>>| {
            let name = name?;
            Ok(Field { attribute: name.clone_ref(py), key: name })
        };
        let fields = names.into_iter().map(field).collect::<PyResult<_>>()?;
        Ok(Self { fields, tag: None, unset: None })
    }
}

fn name(of: Bound<'_, PyAny>) -> PyResult<Py<PyString>> {
    Ok(of.cast_into::<PyString>()?.unbind())
}

/// Fields of a dict of field objects that `keep` says yes to.
fn named(fields: &Bound<'_, PyAny>, keep: impl Fn(&Bound<'_, PyAny>) -> PyResult<bool>) -> PyResult<RecordFields> {
    let py = fields.py();
    let mut names = Vec::new();
    for (key, field) in fields.cast::<PyDict>()?.copy()? {
        if keep(&field)? {
            names.push(name(key));
        }
    }
    RecordFields::named(names, py)
}

fn dataclass(ty: &Bound<'_, PyType>, fields: &Bound<'_, PyAny>) -> PyResult<RecordFields> {
    let py = ty.py();
    let checked = ty.getattr_opt(intern!(py, "__pydantic_fields__"))?;
    named(fields, |field| {
        let kind = field.getattr(intern!(py, "_field_type"))?.getattr(intern!(py, "name"))?;
        if kind.cast::<PyString>()?.to_str()? != "_FIELD" {
            return Ok(false);
        }
        let Some(checked) = &checked else { return Ok(true) };
        let field = checked.cast::<PyDict>()?.get_item(field.getattr(intern!(py, "name"))?)?;
        field.as_ref().map_or(Ok(true), is_written)
    })
}

/// Fields that pydantic is told to exclude from output stay out of it here as well.
fn is_written(field: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!field.getattr(intern!(field.py(), "exclude"))?.is_truthy()?)
}

fn attrs(attributes: &Bound<'_, PyAny>) -> PyResult<RecordFields> {
    let py = attributes.py();
    let attribute_name = |attribute: Bound<'_, PyAny>| attribute.getattr(intern!(py, "name")).and_then(name);
    RecordFields::named(attributes.cast::<PyTuple>()?.iter().map(attribute_name), py)
}

fn structure(ty: &Bound<'_, PyType>, fields: &Bound<'_, PyAny>) -> PyResult<RecordFields> {
    let py = ty.py();
    let mut record = RecordFields::named(fields.cast::<PyTuple>()?.iter().map(name), py)?;
    let keys = ty.getattr(intern!(py, "__struct_encode_fields__"))?;
    for (field, key) in record.fields.iter_mut().zip(keys.cast::<PyTuple>()?) {
        field.key = name(key)?;
    }
    let config = ty.getattr(intern!(py, "__struct_config__"))?;
    let (key, tag) = (config.getattr(intern!(py, "tag_field"))?, config.getattr(intern!(py, "tag"))?);
    if !key.is_none() && !tag.is_none() {
        record.tag = Some((name(key)?, tag.unbind()));
    }
    record.unset = loaded(py, "msgspec", "UNSET")?.map(Bound::unbind);
    Ok(record)
}

impl Value<'_, '_, '_> {
    /// Reads all fields, then writes them: reading may run code, and a map's header says how many there are.
    #[inline(never)]
    pub(super) fn record<S: Serializer>(self, record: &RecordFields, to: S) -> Result<S::Ok, S::Error> {
        let start = self.walk.snapshot.len();
        self.capture_fields(record)?;
        self.walk.enter((self.walk.snapshot.len() - start) / 2)?;
        let done = self.map(start, to)?;
        self.walk.snapshot.release(start);
        Ok(done)
    }

    #[inline(never)]
    fn capture_fields<E: serde::ser::Error>(self, record: &RecordFields) -> Result<(), E> {
        let (py, snapshot) = (self.walk.py, &self.walk.snapshot);
        let object = self.object();
        if let Some((key, tag)) = &record.tag {
            snapshot.push(key.bind(py).clone().into_any());
            snapshot.push(tag.bind(py).clone());
        }
        for field in &record.fields {
            let value = match object.getattr(&field.attribute) {
                Ok(value) => value,
                Err(error) => return Err(self.unread(&field.attribute, error)),
            };
            if record.unset.as_ref().is_none_or(|unset| !unset.is(&value)) {
                snapshot.push(field.key.bind(py).clone().into_any());
                snapshot.push(value);
            }
        }
        Ok(())
    }

    #[cold]
    fn unread<E: serde::ser::Error>(self, attribute: &Py<PyString>, error: PyErr) -> E {
        let attribute = attribute.bind(self.walk.py).to_string_lossy().into_owned();
        let failed = if error.is_instance_of::<PyAttributeError>(self.walk.py) {
            self.walk.refuse(format!("{} has no value for its field", self.type_name()))
        } else {
            self.walk.raised(error)
        };
        self.at(Segment::Key(attribute), failed)
    }
}
