//! What only the extension module of the Python package takes from this crate; no promise is made about it.

pub use crate::engine::PyCodec;
pub use crate::error::runtime_error;
pub use crate::module::fill;
pub use crate::parking::enter;
pub use crate::worker::attach;
