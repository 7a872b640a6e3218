//! Re-exports for the crate of the Python package's extension module alone, without any promise to others.

pub use crate::consumer::{Polled, coroutine};
pub use crate::engine::{PyCodec, ServedEngine, take_chunks};
pub use crate::error::py_errors::{IntoException, runtime_error};
pub use crate::module::fill;
pub use crate::worker::attach;
