//! Look-up of classes in modules that the program has imported, without importing any.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType, PyTypeMethods};

/// A module's attribute, if the module has been imported by somebody.
pub(crate) fn loaded<'py>(py: Python<'py>, module: &str, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    let Ok(modules) = modules.cast_into::<PyDict>() else { return Ok(None) };
    match modules.get_item(module)? {
        Some(module) => module.getattr_opt(name),
        None => Ok(None),
    }
}

/// Whether the type is or inherits from a class, if its module has been imported by somebody.
pub(crate) fn inherits(ty: &Bound<'_, PyType>, module: &str, name: &str) -> PyResult<bool> {
    loaded(ty.py(), module, name)?.map_or(Ok(false), |class| ty.is_subclass(&class))
}
