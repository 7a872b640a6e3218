//! The start of a stream's timers on the runtime, where they fire even while the event loop is stuck.

use std::sync::{Arc, Weak};

use super::stream_state::StreamState;
use crate::base::runtime;

/// Runs `timer` until it is done or the stream has ended.
pub(super) fn spawn<F>(stream: &Arc<StreamState>, timer: impl FnOnce(Weak<StreamState>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Some(handle) = runtime::handle() {
        stream.add_timer(handle.spawn(timer(Arc::downgrade(stream))).abort_handle());
    }
}
