//! A handler as drivers see it: the function, its contexts and its codecs.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::coroutine::Driver;
use crate::codec::{CodecSpec, Encoder};
use crate::state::StartRequest;
use crate::worker::HasLifespan;

/// Gives what a handler gets as `context`.
pub(crate) type ContextOf = fn(&Bound<'_, Driver>) -> PyResult<Py<PyAny>>;

/// A handler and how it is called.
pub(crate) struct Handler {
    pub(crate) function: Py<PyAny>,
    /// It returns one value.
    pub(crate) unary: bool,
    /// `None`: it takes no `context`.
    pub(crate) context: Option<ContextOf>,
    /// How its requests are encoded, unless the call says another.
    pub(crate) spec: Arc<CodecSpec>,
}

impl Handler {
    pub(super) fn clone_ref(&self, py: Python<'_>) -> Self {
        let Self { function, unary, context, spec } = self;
        Self { function: function.clone_ref(py), unary: *unary, context: *context, spec: Arc::clone(spec) }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)
    }
}

/// An engine's Python object, as drivers see it.
pub(crate) trait HasHandler: HasLifespan {
    fn handler(&self) -> &Handler;

    /// What encodes the items of `start`.
    ///
    /// # Errors
    /// The call names something that is no codec.
    fn encoder(&self, py: Python<'_>, start: &StartRequest) -> PyResult<Encoder>;
}
