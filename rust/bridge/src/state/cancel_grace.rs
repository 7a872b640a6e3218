//! The timer of `cancel_grace`: the time that a cancelled handler has before its stream ends without it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::command::Command;
use super::ending::Ending;
use super::stream_state::StreamState;
use crate::base::{log, runtime};

/// Bounds what a cancelled or closing handler may still do; then the stream ends with `ending` without it.
pub(crate) fn start_grace(stream: &Arc<StreamState>, ending: Ending) {
    let grace = stream.engine.flow.cancel_grace;
    stream.spawn_timer(async move |stream: Weak<StreamState>| {
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
