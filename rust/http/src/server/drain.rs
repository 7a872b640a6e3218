//! The drain of a server that is told to end, and its leave where others take its place: live calls have their time, and what is
//! left of them is cancelled.

use std::time::Duration;

use pybridge::Drained;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::server_phase::Phase;
use super::server_state::{LAST_REQUESTS, Site};
use crate::answer::after;

/// Waits until the server is told to drain, and drains it; gives also when it had to be over.
pub(super) async fn drain(site: &Site) -> (Drained, Instant) {
    site.phases.reached(Phase::Settling).await;
    sleep(site.options.drain_settle).await;
    site.phases.advance(Phase::Draining);
    let by = after(Instant::now(), site.options.drain_timeout);
    (site.engine.drain(site.options.drain_timeout).await, by)
}

/// Waits until the connections have ended, or the time for that is over, and cancels what is left; told to drain meanwhile, it
/// drains. `None`: it was stopped.
pub(super) async fn leave(site: &Site, connections: &mut JoinSet<()>) -> Option<(Drained, Instant)> {
    tokio::select! {
        biased;
        () = site.phases.reached(Phase::Stopped) => return None,
        drained = drain(site) => return Some(drained),
        () = sleep(LAST_REQUESTS.saturating_add(site.options.drain_timeout)) => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    Some((site.engine.drain(Duration::ZERO).await, Instant::now()))
}
