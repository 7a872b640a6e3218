//! The module's entry point.

use pyo3::prelude::*;

/// Private to the package; the public names are in `pybridge`.
#[pymodule(gil_used = true)]
mod _pybridge {
    use pyo3::prelude::*;

    #[python_entry]
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        pybridge::extension::fill(module)?;
        crate::http::register(module)?;
        crate::bench::register(module)
    }
}
