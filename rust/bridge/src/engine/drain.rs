//! The orderly end of an engine, for Rust hosts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::rust_engine::Engine;
use crate::base::runtime;
use crate::state::EngineState;

/// What became of the calls that were live when [`Engine::drain`] was called, or began while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Drained {
    /// They ended by themselves, however.
    pub finished: usize,
    /// They were cut off, with the reason `shutdown`.
    pub cancelled: usize,
}

impl Engine {
    /// Takes no new calls, lets live ones go on for `timeout`, then cancels the rest with the reason `shutdown`.
    ///
    /// Suspends until the endings, at most for the flow's `cancel_grace` beyond `timeout`. Dropped before, it has cancelled
    /// nothing, and the engine takes no new calls all the same.
    ///
    /// ```no_run
    /// # async fn stop(engine: pybridge::Engine) {
    /// use std::time::Duration;
    ///
    /// let drained = engine.drain(Duration::from_secs(30)).await;
    /// println!("{} calls finished, {} were cut off", drained.finished, drained.cancelled);
    /// # }
    /// ```
    pub async fn drain(&self, timeout: Duration) -> Drained {
        let state = &self.state;
        let before = state.metrics.started.load(Ordering::Relaxed);
        let live = state.live_count();
        state.drain();
        idle_within(state, timeout).await;
        let cancelled = state.close();
        let nested = state.metrics.started.load(Ordering::Relaxed) - before;
        idle_within(state, state.flow.cancel_grace).await;
        let all = live + usize::try_from(nested).unwrap_or(usize::MAX);
        Drained { finished: all.saturating_sub(cancelled), cancelled }
    }
}

/// Waits until no stream is live, and no lifespan once the engine is closed; at most for `timeout`.
async fn idle_within(state: &EngineState, timeout: Duration) {
    let Some(runtime) = runtime::handle() else { return };
    let bounded = {
        let _runtime = runtime.enter();
        tokio::time::timeout(timeout, until_idle(state))
    };
    let _ = bounded.await;
}

async fn until_idle(state: &EngineState) {
    let bell = Arc::new(Bell::default());
    let waiting = Waiting { state, waker: Waker::from(Arc::clone(&bell)) };
    while !state.is_idle_or_wake(Some(&waiting.waker)) {
        bell.0.notified().await;
    }
}

/// A waker of its own for each that waits: a task may wait for one engine twice.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

struct Waiting<'a> {
    state: &'a EngineState,
    waker: Waker,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.state.forget_idle_waker(&self.waker);
    }
}
