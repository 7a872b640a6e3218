//! The cancellation of calls that a handler makes: they end with its own stream, for the reason `parent`.

use std::sync::Arc;

use super::stream_state::StreamState;
use crate::base::lock::lock;
use crate::error::Reason;

impl StreamState {
    /// Notes a stream that is cancelled with this one; false: this one was already.
    pub(super) fn adopt(&self, child: &Arc<Self>) -> bool {
        let mut children = lock(&self.children);
        // `cancel_children` takes the list after the reason was set: whoever has the lock later sees what the other did.
        if self.cancel_reason().is_some() {
            return false;
        }
        if children.len() == children.capacity() {
            children.retain(|child| child.strong_count() > 0);
            // Room for as many again: the next look at all of them is that many calls away.
            let live = children.len();
            children.reserve(live.max(1));
        }
        children.push(Arc::downgrade(child));
        true
    }

    /// Cancels them.
    pub(super) fn cancel_children(&self) {
        let children = std::mem::take(&mut *lock(&self.children));
        for child in children.into_iter().filter_map(|child| child.upgrade()) {
            child.cancel(Reason::Parent);
        }
    }
}
