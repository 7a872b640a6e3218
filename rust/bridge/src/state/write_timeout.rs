//! The timer of `write_timeout`: a stream whose consumer takes nothing for that long is cancelled as `slow_consumer`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::stream_state::StreamState;
use crate::error::Reason;

/// The producer has begun to wait for credit: bounds how long its consumer may let it wait.
pub(crate) fn watch_consumer(stream: &Arc<StreamState>) {
    if let Some(limit) = stream.engine.flow.write_timeout
        && !stream.pause_watched.swap(true, Ordering::SeqCst)
    {
        stream.spawn_timer(async move |stream| watch_pause(stream, limit).await);
    }
}

/// Cancels when the consumer takes nothing for `limit` while the producer waits; ends when that no longer waits.
async fn watch_pause(stream: Weak<StreamState>, limit: Duration) {
    let step = (limit / 4).max(Duration::from_millis(1));
    let mut unchanged = None;
    while let Some(stream) = stream.upgrade() {
        let Some(state) = stream.queue.credit.pause_state() else {
            stream.pause_watched.store(false, Ordering::SeqCst);
            // It may have begun to wait again before it could see that nobody watches.
            if stream.queue.credit.pause_state().is_none() || stream.pause_watched.swap(true, Ordering::SeqCst) {
                return;
            }
            continue;
        };
        let now = Instant::now();
        let since = unchanged.filter(|&(_, last)| last == state).map_or(now, |(since, _)| since);
        if now - since >= limit {
            stream.cancel(Reason::SlowConsumer);
            return;
        }
        unchanged = Some((since, state));
        drop(stream);
        tokio::time::sleep(step).await;
    }
}
