//! The check of a server's options, and what is made of them.

use pybridge::EngineProfile;

use super::server_error::ServerError;
use super::server_options::ServerOptions;
use crate::guard::{Cors, Forwarded};
use crate::protocol::{Protocol, check_letters, check_time};

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
    let times = [
        ("header_timeout", options.header_timeout, false),
        ("body_timeout", options.body_timeout, false),
        ("idle_timeout", options.idle_timeout, false),
        ("write_timeout", options.write_timeout, false),
        ("drain_timeout", options.drain_timeout, true),
        ("drain_settle", options.drain_settle, true),
    ];
    for (option, time, zero) in times {
        check_time(time, zero).map_err(|reason| ServerError::option(option, reason))?;
    }
    if options.max_connections == 0 {
        return Err(ServerError::option("max_connections", "must be above 0"));
    }
    if options.max_streams == 0 {
        return Err(ServerError::option("max_streams", "must be above 0"));
    }
    let root = options.root_path.as_str();
    if root.ends_with('/') {
        return Err(ServerError::option("root_path", format!("must not end with a slash, as {root:?} does")));
    }
    check_letters(root).map_err(|reason| ServerError::option("root_path", reason))
}
