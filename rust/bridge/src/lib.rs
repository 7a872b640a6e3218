//! Python async generators as Rust streams.

#[cfg(feature = "naive")]
pub mod bench;
#[cfg(feature = "naive")]
pub mod bridge_thread;
pub mod codec;
pub mod error;
#[cfg(feature = "naive")]
pub mod naive;

/// The extension.
#[pyo3::pymodule]
fn _pybridge(m: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    bench::register(m)
}
