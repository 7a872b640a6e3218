//! The Python package for hosts that have only the Rust crate: its sources are compiled in.

use pyo3::prelude::*;

/// Makes `import pybridge` work.
pub(crate) fn ensure_package(py: Python<'_>) -> PyResult<()> {
    py.import("pybridge").map(drop)
}
