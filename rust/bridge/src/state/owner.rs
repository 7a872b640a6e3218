//! The thread that owns Python references, as everybody else sees it.

use std::fmt;

use pyo3::prelude::*;

/// The thread that may drop some Python references.
pub(crate) trait Owner: fmt::Debug + Send + Sync {
    /// True on that thread.
    fn is_owner_thread(&self) -> bool;

    /// Sends a Python reference there, or to the next Python thread that comes by if the worker is gone.
    fn release(&self, object: Py<PyAny>);
}
