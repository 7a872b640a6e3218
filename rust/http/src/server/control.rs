//! The ways in which a host ends a server.

use std::sync::Arc;

use super::server_phase::Phase;
use super::server_state::Site;

/// Ends a server, from any thread; clones end the same. Nothing here waits.
#[derive(Debug, Clone)]
pub struct Control(Arc<Site>);

impl Control {
    pub(super) fn new(site: Arc<Site>) -> Self {
        Self(site)
    }

    /// Lets the server end in order: `/health/ready` answers with status 503 at once. After
    /// [`drain_settle`](crate::ServerOptions::drain_settle) new calls are refused with status 503 while those that are live go on,
    /// and the pages are still served. When no call is live or [`drain_timeout`](crate::ServerOptions::drain_timeout) is over,
    /// the rest is cancelled with the reason `shutdown`, and connections and sockets are closed.
    pub fn drain(&self) {
        self.0.phases.advance(Phase::Settling);
    }

    /// Lets the server end while others serve on its sockets in its place: it accepts no more connections, answers what those that
    /// are open ask for, closes each when it has nothing to answer, and has ended with the last one. What still runs after
    /// [`drain_timeout`](crate::ServerOptions::drain_timeout) is cancelled with the reason `shutdown`. No call is refused.
    pub fn leave(&self) {
        self.0.leaving.begin();
    }

    /// Ends the server now: what is live is cancelled with the reason `shutdown`, and connections are cut off.
    pub fn stop(&self) {
        self.0.observer.stop();
        self.0.engine.close();
        self.0.phases.advance(Phase::Stopped);
    }

    /// For a host that ends its process next, with whatever still runs: connections in the middle of an answer that their clients do
    /// not take are reset then. Nothing else happens.
    pub fn abandon(&self) {
        self.0.sockets.abandon();
    }

    /// True until the server was told to end.
    pub fn is_ready(&self) -> bool {
        self.0.phases.now() == Phase::Serving
    }
}
