//! The check of a server's options, and what is made of them.

use pybridge::EngineProfile;

use super::error::ServerError;
use super::options::ServerOptions;
use crate::guard::{Cors, Forwarded};
use crate::protocol::Protocol;

impl ServerOptions {
    /// Says whether a server of an engine with this profile can have these options, as [`serve`](crate::serve) does: before a host
    /// has the engine load what takes long.
    ///
    /// # Errors
    /// The first option that cannot be.
    pub fn check(&self, profile: EngineProfile) -> Result<(), ServerError> {
        Checked::of(self, profile).map(drop)
    }
}

/// The parts of a server that are made of its options.
pub(super) struct Checked {
    pub(super) protocol: Protocol,
    pub(super) cors: Cors,
    pub(super) forwarded: Forwarded,
}

impl Checked {
    /// # Errors
    /// The first option that cannot be.
    pub(super) fn of(options: &ServerOptions, profile: EngineProfile) -> Result<Self, ServerError> {
        let refused = |option| move |reason: String| ServerError::option(option, reason);
        check_limits(options)?;
        let protocol = Protocol::new(options.protocol.clone(), profile)?;
        options.api_keys.check().map_err(refused("api_keys"))?;
        let cors = Cors::new(&options.cors_origins).map_err(refused("cors_origins"))?;
        let forwarded = Forwarded::new(&options.forwarded_allow_ips).map_err(refused("forwarded_allow_ips"))?;
        Ok(Self { protocol, cors, forwarded })
    }
}

/// # Errors
/// The first time, number or path that cannot be.
fn check_limits(options: &ServerOptions) -> Result<(), ServerError> {
    let waits = [
        ("header_timeout", options.header_timeout),
        ("body_timeout", options.body_timeout),
        ("idle_timeout", options.idle_timeout),
        ("write_timeout", options.write_timeout),
    ];
    if let Some((option, _)) = waits.into_iter().find(|(_, wait)| wait.is_zero()) {
        return Err(ServerError::option(option, "must be above 0"));
    }
    if options.max_connections == 0 {
        return Err(ServerError::option("max_connections", "must be above 0"));
    }
    if options.max_streams == 0 {
        return Err(ServerError::option("max_streams", "must be above 0"));
    }
    let root = options.root_path.as_str();
    if !root.is_empty() && (!root.starts_with('/') || root.ends_with('/')) {
        return Err(ServerError::option("root_path", "must begin with a slash and end without one"));
    }
    Ok(())
}
