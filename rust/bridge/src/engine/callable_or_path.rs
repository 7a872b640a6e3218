//! A Python callable as a Rust host names it: the object, or the path under which it is imported.

use std::fmt;

use pyo3::prelude::*;

use crate::base::deferred_release::LoopOwned;

/// A Python callable: the object, or a path `module:attribute` under which it is imported when the engine is made.
pub struct Callable(Source);

enum Source {
    Path(String),
    /// It may be dropped on any thread.
    Object(LoopOwned),
}

impl Callable {
    /// The object; a path is imported, on the calling thread.
    pub(super) fn load(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self.0 {
            Source::Path(path) => py.import("pybridge._handlers")?.getattr("load")?.call1((path,)),
            Source::Object(object) => Ok(object.into_inner(py).into_bound(py)),
        }
    }
}

impl From<&str> for Callable {
    fn from(path: &str) -> Self {
        Self(Source::Path(path.to_owned()))
    }
}

impl From<String> for Callable {
    fn from(path: String) -> Self {
        Self(Source::Path(path))
    }
}

impl From<Py<PyAny>> for Callable {
    fn from(object: Py<PyAny>) -> Self {
        Self(Source::Object(LoopOwned::unowned(object)))
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Path(path) => write!(f, "{path:?}"),
            Source::Object(_) => f.write_str("an object"),
        }
    }
}
