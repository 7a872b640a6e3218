//! What a host does with failures of its handlers.

use std::fmt;
use std::sync::Arc;

use crate::stream::Failure;

type Act = dyn Fn(&str, &Failure) + Send + Sync;

/// Called with the request's id and the failure, on the worker.
#[derive(Clone)]
pub(crate) struct OnFailure(Arc<Act>);

impl OnFailure {
    pub(super) fn new(act: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }

    #[expect(dead_code, reason = "called where failures of handlers are logged")]
    pub(crate) fn call(&self, request_id: &str, failure: &Failure) {
        (self.0)(request_id, failure);
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}
