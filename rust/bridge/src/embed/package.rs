//! The Python package in programs that have only the Rust crate: its sources are compiled in.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::PyEngine;
use crate::error::py_errors;

const EXTENSION: &str = "pybridge._pybridge";

/// Makes `import pybridge` give the package that belongs to this crate, whatever is installed.
///
/// [`EngineBuilder::build`](crate::EngineBuilder::build) does it as well. Call it earlier when the handler's module imports
/// `pybridge`. Further calls do nothing.
///
/// # Errors
/// `ImportError` in a subinterpreter, in free-threaded Python, and when another build of the package was imported before: a
/// process has room for one. Without the cargo
/// feature `embed`, also when no package is installed.
pub fn install(py: Python<'_>) -> PyResult<()> {
    crate::base::exit_parking::enter();
    crate::base::refused_interpreters::check_interpreter(py)?;
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    if !modules.contains(EXTENSION)? {
        #[cfg(feature = "embed")]
        add_importer(py)?;
    }
    let loaded = py.import(EXTENSION)?;
    if loaded.getattr("Engine")?.is(py.get_type::<PyEngine>()) {
        return Ok(());
    }
    Err(py_errors::foreign_extension(&loaded, env!("CARGO_PKG_VERSION")))
}

/// Lets the interpreter find the compiled-in sources and this crate's own extension module before anything installed.
#[cfg(feature = "embed")]
fn add_importer(py: Python<'_>) -> PyResult<()> {
    use std::ffi::CString;

    use pyo3::types::{PyFrozenSet, PyModule};

    /// Names with their text; a package's name ends with a dot.
    const SOURCES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/sources.rs"));

    let sources = PyDict::new(py);
    for (name, text) in SOURCES {
        sources.set_item(name.trim_end_matches('.'), text)?;
    }
    let packages = SOURCES.iter().filter_map(|(name, _)| name.strip_suffix('.'));
    let packages = PyFrozenSet::new(py, packages)?;
    let extension = PyModule::new(py, EXTENSION)?;
    crate::module::fill(&extension)?;
    let code = CString::new(include_str!("importer.py"))?;
    let importer = PyModule::from_code(py, &code, c"<embedded>/importer.py", c"pybridge_importer")?;
    importer.call_method1("install", (sources, packages, extension)).map(drop)
}
