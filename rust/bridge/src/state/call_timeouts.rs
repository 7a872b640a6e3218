//! Timeouts of a stream, on the runtime's clock: they hold while the event loop is stuck.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::command::Command;
use super::ending::Ending;
use super::stream_state::StreamState;
use crate::base::{log, runtime};
use crate::error::Reason;

/// Starts what the call asked for: the whole-stream deadline and the idle timeout.
pub(crate) fn start(stream: &Arc<StreamState>) {
    if let Some(deadline) = stream.deadline {
        spawn(stream, async move |stream: Weak<StreamState>| {
            tokio::time::sleep_until(deadline.into()).await;
            if let Some(stream) = stream.upgrade() {
                stream.cancel(Reason::Deadline);
            }
        });
    }
    if let Some(idle) = stream.options.idle_timeout {
        stream.touch(Instant::now());
        spawn(stream, async move |stream| watch_idle(stream, idle).await);
    }
}

/// The producer has begun to wait for credit: bounds how long its consumer may let it wait.
pub(crate) fn start_pause(stream: &Arc<StreamState>) {
    if let Some(limit) = stream.engine.flow.write_timeout
        && !stream.pause_watched.swap(true, Ordering::SeqCst)
    {
        spawn(stream, async move |stream| watch_pause(stream, limit).await);
    }
}

/// Bounds what a cancelled or closing handler may still do; then the stream ends with `ending` without it.
pub(crate) fn start_grace(stream: &Arc<StreamState>, ending: Ending) {
    let grace = stream.engine.flow.cancel_grace;
    spawn(stream, async move |stream: Weak<StreamState>| {
        tokio::time::sleep(grace).await;
        let Some(stream) = stream.upgrade() else { return };
        if stream.queue.has_ended() {
            return;
        }
        stream.engine.metrics.close_timeout.fetch_add(1, Ordering::Relaxed);
        report(&stream);
        drop(stream.worker.post(Command::Grace(Arc::clone(&stream))));
        stream.finish(ending);
    });
}

fn spawn<F>(stream: &Arc<StreamState>, timer: impl FnOnce(Weak<StreamState>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Some(handle) = runtime::handle() {
        stream.add_timer(handle.spawn(timer(Arc::downgrade(stream))).abort_handle());
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

/// Has it logged that a handler did not end in time.
fn report(stream: &StreamState) {
    if runtime::is_ending() {
        return;
    }
    let text = format!(
        "request {}: the handler has not ended within cancel_grace after its stream was; it is left to itself",
        stream.request_id()
    );
    drop(stream.worker.post(Command::run(move |py| log::notice(py, "stream", &text))));
}
