//! Programs that have only the Rust crate: the interpreter's start, the Python package inside the program, the end.

mod package;
mod shutdown;

pub use package::install;
pub use shutdown::shutdown;

/// True once the interpreter runs.
#[allow(unsafe_code)]
pub(crate) fn is_initialized() -> bool {
    // SAFETY: the call only looks, and may be made at any time.
    unsafe { pyo3::ffi::Py_IsInitialized() != 0 }
}
