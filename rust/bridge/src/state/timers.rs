//! Timeouts of a stream, on the runtime's clock: they hold while the event loop is stuck.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::command::Command;
use super::ending::Ending;
use super::stream_state::StreamCore;
use crate::base::{log, runtime};
use crate::error::Reason;

/// Starts what the call asked for: the whole-stream deadline and the idle timeout.
pub(crate) fn start(core: &Arc<StreamCore>) {
    if let Some(deadline) = core.deadline {
        spawn(core, async move |stream: Weak<StreamCore>| {
            tokio::time::sleep_until(deadline.into()).await;
            if let Some(stream) = stream.upgrade() {
                stream.cancel(Reason::Deadline);
            }
        });
    }
    if let Some(idle) = core.options.idle_timeout {
        core.touch(Instant::now());
        spawn(core, async move |stream| watch_idle(stream, idle).await);
    }
}

/// The producer has begun to wait for credit: bounds how long its consumer may let it wait.
pub(crate) fn start_pause(core: &Arc<StreamCore>) {
    if let Some(limit) = core.engine.flow.write_timeout
        && !core.pause_watched.swap(true, Ordering::SeqCst)
    {
        spawn(core, async move |stream| watch_pause(stream, limit).await);
    }
}

/// Bounds what a cancelled or closing handler may still do; then the stream ends with `ending` without it.
pub(crate) fn start_grace(core: &Arc<StreamCore>, ending: Ending) {
    let grace = core.engine.flow.cancel_grace;
    spawn(core, async move |stream: Weak<StreamCore>| {
        tokio::time::sleep(grace).await;
        let Some(stream) = stream.upgrade() else { return };
        if stream.queue.has_ended() {
            return;
        }
        stream.engine.metrics.close_timeout.fetch_add(1, Ordering::Relaxed);
        report(&stream);
        drop(stream.home.post(Command::Grace(Arc::clone(&stream))));
        stream.finish(ending);
    });
}

fn spawn<F>(core: &Arc<StreamCore>, timer: impl FnOnce(Weak<StreamCore>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Some(handle) = runtime::handle() {
        core.add_timer(handle.spawn(timer(Arc::downgrade(core))).abort_handle());
    }
}

/// Cancels when no item came for `idle`, not counting the time the stream waited for its place or for credit.
async fn watch_idle(stream: Weak<StreamCore>, idle: Duration) {
    loop {
        let Some(core) = stream.upgrade() else { return };
        let now = Instant::now();
        if core.queue.credit.is_paused() || !core.has_begun() {
            core.touch(now);
        }
        let Some(due) = core.last_item().checked_add(idle) else { return };
        if due <= now {
            core.cancel(Reason::Idle);
            return;
        }
        drop(core);
        tokio::time::sleep_until(due.into()).await;
    }
}

/// Cancels when the consumer takes nothing for `limit` while the producer waits; ends when that no longer waits.
async fn watch_pause(stream: Weak<StreamCore>, limit: Duration) {
    let step = (limit / 4).max(Duration::from_millis(1));
    let mut unchanged = None;
    while let Some(core) = stream.upgrade() {
        let Some(state) = core.queue.credit.pause_state() else {
            core.pause_watched.store(false, Ordering::SeqCst);
            // It may have begun to wait again before it could see that nobody watches.
            if core.queue.credit.pause_state().is_none() || core.pause_watched.swap(true, Ordering::SeqCst) {
                return;
            }
            continue;
        };
        let now = Instant::now();
        let since = unchanged.filter(|&(_, last)| last == state).map_or(now, |(since, _)| since);
        if now - since >= limit {
            core.cancel(Reason::SlowConsumer);
            return;
        }
        unchanged = Some((since, state));
        drop(core);
        tokio::time::sleep(step).await;
    }
}

/// Has it logged that a handler did not end in time.
fn report(stream: &StreamCore) {
    if runtime::is_ending() {
        return;
    }
    let text = format!(
        "request {}: the handler has not ended within cancel_grace after its stream was; it is left to itself",
        stream.request_id()
    );
    drop(stream.home.post(Command::run(move |py| log::notice(py, "stream", &text))));
}
