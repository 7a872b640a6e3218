//! The state that all requests to one service share: checked options and facts of its engine.

use pybridge::EngineProfile;

use super::options::ProtocolOptions;

/// Checked options, and the engine that they are for.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) options: ProtocolOptions,
    pub(super) profile: EngineProfile,
    /// Where the calls are.
    pub(super) path: String,
    /// When the service began, in seconds since 1970.
    pub(super) created: u64,
}

impl Terms {
    /// Longest body that is taken, in bytes: what the host allows, or the engine if that is less.
    pub(super) fn max_body(&self) -> usize {
        self.options.max_body.min(self.profile.max_request.unwrap_or(usize::MAX))
    }
}
