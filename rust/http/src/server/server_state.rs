//! The state that all connections of a server share.

use std::io;
use std::time::Duration;

use hyper_util::server::conn::auto;
use pybridge::Engine;
use tokio::time::sleep;

use super::check_options::Checked;
use super::connection_limits::builder;
use super::http2_tasks::Streams;
use super::metrics_of_processes::Peers;
use super::reset_unread::OpenSockets;
use super::server_error::ServerError;
use super::server_options::ServerOptions;
use super::server_phase::{Leaving, Phase, Phases};
use crate::guard::{Cors, Forwarded};
use crate::observe::{Observer, metrics_text};
use crate::protocol::Protocol;

/// How long connections may still bring requests once others serve in their server's place: those that were accepted just
/// before are about to.
pub(super) const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// An engine, how it is served, and how far the server is.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) protocol: Protocol,
    pub(super) options: ServerOptions,
    pub(super) phases: Phases,
    pub(super) leaving: Leaving,
    pub(super) observer: Observer,
    pub(super) cors: Cors,
    pub(super) forwarded: Forwarded,
    pub(super) peers: Option<Peers>,
    pub(super) sockets: OpenSockets,
    pub(super) http: auto::Builder<Streams>,
}

impl Site {
    /// # Errors
    /// The first option that cannot be.
    pub(super) fn new(engine: Engine, options: ServerOptions) -> Result<Self, ServerError> {
        let Checked { protocol, cors, forwarded } = Checked::of(&options, engine.profile())?;
        let http = builder(&options);
        let observer = Observer::with_log(engine.name(), options.access_log)
            .map_err(|error| ServerError::option("access_log", error.to_string()))?;
        let peers = options.peers.as_deref().map(|folder| Peers::of(folder, options.access_log));
        let (phases, leaving, sockets) = Default::default();
        Ok(Self { engine, protocol, options, phases, leaving, observer, cors, forwarded, peers, sockets, http })
    }

    /// Waits until connections are to close when they have nothing to answer.
    pub(super) async fn closing(&self) {
        let left = async {
            self.leaving.begun().await;
            sleep(LAST_REQUESTS).await;
        };
        tokio::select! {
            () = self.phases.reached(Phase::Closing) => {}
            () = left => {}
        }
    }

    /// True while the end is not in sight: [`Self::closing`], once polled, wakes its task when this changes.
    pub(super) fn serves_on(&self) -> bool {
        self.phases.now() == Phase::Serving && !self.leaving.has_begun()
    }

    /// The page of metrics: of this process, or of all that serve together.
    ///
    /// # Errors
    /// What the others have counted cannot be read now.
    pub(super) async fn metrics(&self) -> io::Result<String> {
        match &self.peers {
            Some(peers) => peers.metrics_text().await,
            None => Ok(metrics_text()),
        }
    }
}
