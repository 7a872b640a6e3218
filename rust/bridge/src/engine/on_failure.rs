//! A host's function for failures of handlers.

use std::fmt;
use std::sync::Arc;

use crate::stream::Failure;

type Act = dyn Fn(&str, &Failure) + Send + Sync;

/// Called with the request's id and the failure, on the worker.
#[derive(Clone)]
pub(crate) struct OnFailure(pub(super) Arc<Act>);

impl OnFailure {
    pub(crate) fn new(act: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}
