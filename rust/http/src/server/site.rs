//! The state that all connections of a server share.

use hyper_util::server::conn::auto;
use pybridge::Engine;

use super::check::check;
use super::error::ServerError;
use super::options::ServerOptions;
use super::phase::Phases;
use super::settings::builder;
use super::streams::Streams;
use crate::protocol::Protocol;

/// An engine, how it is served, and how far the server is.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) protocol: Protocol,
    pub(super) options: ServerOptions,
    pub(super) phases: Phases,
    pub(super) http: auto::Builder<Streams>,
}

impl Site {
    /// # Errors
    /// The first option that cannot be.
    pub(super) fn new(engine: Engine, options: ServerOptions) -> Result<Self, ServerError> {
        check(&options)?;
        let protocol = Protocol::new(options.protocol.clone(), engine.profile())?;
        let http = builder(&options);
        Ok(Self { engine, protocol, options, phases: Phases::default(), http })
    }
}
