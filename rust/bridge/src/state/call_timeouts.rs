//! The timers of a call's deadline and of its `idle_timeout`.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::stream_state::StreamState;
use crate::error::Reason;

/// Starts what the call asked for: the whole-stream deadline and the idle timeout.
pub(super) fn start(stream: &Arc<StreamState>) {
    if let Some(deadline) = stream.deadline {
        stream.spawn_timer(async move |stream: Weak<StreamState>| {
            tokio::time::sleep_until(deadline.into()).await;
            if let Some(stream) = stream.upgrade() {
                stream.cancel(Reason::Deadline);
            }
        });
    }
    if let Some(idle) = stream.options.idle_timeout {
        stream.touch(Instant::now());
        stream.spawn_timer(async move |stream| watch_idle(stream, idle).await);
    }
}

/// Cancels when no item came for `idle`, not counting the time the stream waited for its place or for credit.
async fn watch_idle(stream: Weak<StreamState>, idle: Duration) {
    loop {
        let Some(stream) = stream.upgrade() else { return };
        let now = Instant::now();
        if stream.queue.credit.is_paused() || !stream.has_begun() {
            stream.touch(now);
        }
        let Some(due) = stream.last_item().checked_add(idle) else { return };
        if due <= now {
            stream.cancel(Reason::Idle);
            return;
        }
        drop(stream);
        tokio::time::sleep_until(due.into()).await;
    }
}
