//! Models of pydantic, encoded by the serializers that pydantic made for their classes.
#![allow(unsafe_code)] // asks for an attribute past the hooks of its class

use pybridge_base::lock::Mutex;
use pybridge_macros::python_entry;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};
use serde::{Serialize, Serializer};

use super::default_hook::ask;
use super::value::Value;
use super::walk::Failure;
use crate::Format;

/// Which pydantic a model class or a pydantic dataclass is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Its classes have no serializer.
    One,
    Two,
}

/// The version that a model class or a pydantic dataclass is of.
///
/// The nearest class that has a serializer or fields of its own decides: a plain dataclass that inherits from a pydantic
/// one has more fields than the inherited serializer knows.
pub(super) fn version(ty: &Bound<'_, PyType>) -> PyResult<Option<Version>> {
    let py = ty.py();
    for base in ty.mro() {
        let own = base.getattr(intern!(py, "__dict__"))?;
        let has = |name| own.contains(name);
        if has(intern!(py, "__pydantic_serializer__"))? {
            return Ok(Some(Version::Two));
        }
        let is_model = has(intern!(py, "__fields__"))? && has(intern!(py, "__config__"))?;
        if is_model || has(intern!(py, "__pydantic_model__"))? {
            return Ok(Some(Version::One));
        }
        if has(intern!(py, "__dataclass_fields__"))? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Text that is JSON already; formats take it as a newtype of bytes.
struct Json<'a>(&'a [u8]);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// The `default` hook as a serializer calls it, which tells of an exception its text only.
#[python_entry]
#[pyclass(frozen)]
struct Fallback {
    hook: Py<PyAny>,
    /// Why it gave nothing the last time that it did not.
    failed: Mutex<Option<Failure>>,
}

#[python_entry]
#[pymethods]
impl Fallback {
    fn __call__<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        ask(&self.hook, object).map_err(|failure| {
            let error = match &failure {
                Failure::Raised(_, error) => error.clone_ref(object.py()),
                Failure::Value(reason) | Failure::Limit(_, reason) => PyTypeError::new_err(reason.clone()),
            };
            let before = self.failed.lock().map(|mut failed| failed.replace(failure));
            drop(before);
            error
        })
    }
}

impl<'py> Value<'_, '_, 'py> {
    /// JSON as the serializer writes it; for `MessagePack` the Python objects that it gives.
    #[inline(never)]
    pub(super) fn model<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        if self.walk.writing.spec.format != Format::Json {
            let options = self.walk.writing.model_dump.map(|options| options.bind(self.walk.py));
            return self.instead(self.dump(intern!(self.walk.py, "to_python"), options), to);
        }
        let text = self.dump_json().map_err(|failure| self.walk.fail(failure))?;
        match text.cast::<PyBytes>() {
            Ok(text) => to.serialize_newtype_struct("json", &Json(text.as_bytes())),
            Err(_) => Err(self.walk.refuse(format!("the serializer of {} gave no bytes", self.type_name()))),
        }
    }

    fn dump_json(self) -> Result<Bound<'py, PyAny>, Failure> {
        let (py, name) = (self.walk.py, intern!(self.walk.py, "to_json"));
        let options = self.walk.writing.model_dump.map(|options| options.bind(py));
        let Some(hook) = self.walk.writing.default else { return Ok(self.dump(name, options)?) };
        let options = options.map_or_else(|| Ok(PyDict::new(py)), PyDictMethods::copy)?;
        let fallback = Bound::new(py, Fallback { hook: hook.clone_ref(py), failed: Mutex::default() })?;
        options.set_item(intern!(py, "fallback"), &fallback)?;
        self.dump(name, Some(&options)).map_err(|error| {
            let failed = fallback.get().failed.lock().ok().and_then(|mut failed| failed.take());
            failed.unwrap_or_else(|| error.into())
        })
    }

    fn dump(self, name: &Bound<'py, PyString>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let (object, key) = (self.object(), intern!(self.walk.py, "__pydantic_serializer__"));
        // SAFETY: the object is alive, the result a new reference or null with an exception set. Classes of models have
        // hooks for attributes that are missing, which make every other way to this one slow.
        let serializer = unsafe {
            let serializer = ffi::PyObject_GenericGetAttr(object.as_ptr(), key.as_ptr());
            Bound::from_owned_ptr_or_err(self.walk.py, serializer)?
        };
        match options {
            None => serializer.call_method1(name, (object,)),
            Some(_) => serializer.call_method(name, (object,), options),
        }
    }
}
