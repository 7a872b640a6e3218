//! Options of a server that cannot be.

use super::error::ServerError;
use super::options::ServerOptions;

/// # Errors
/// The first option that cannot be, but for those of the protocol.
pub(super) fn check(options: &ServerOptions) -> Result<(), ServerError> {
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
