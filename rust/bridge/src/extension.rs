//! Items for the extension module of the Python package alone, without any promise to others.

pub use crate::awaitable::{Polled, coroutine};
pub use crate::engine::{PyCodec, ServedEngine, take_chunks};
pub use crate::lock::{Mutex, MutexGuard};
pub use crate::module::fill;
pub use crate::parking::enter;
pub use crate::py_errors::{IntoException, runtime_error};
pub use crate::worker::attach;
