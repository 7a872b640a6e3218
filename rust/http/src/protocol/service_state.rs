//! The state that all requests to one service share: checked options and facts of its engine.

use pybridge::EngineProfile;

use super::options::ProtocolOptions;
use super::request_refusals;
use crate::failure_answer::Refusal;

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
        self.body_limit().1
    }

    /// The setting that bounds bodies, and its value.
    fn body_limit(&self) -> (&'static str, usize) {
        let most = self.options.max_body;
        match self.profile.max_request {
            Some(engines) if engines < most => ("max_frame_bytes", engines),
            _ => ("max_body", most),
        }
    }

    /// What a client is told whose body is over [`Self::max_body`].
    pub(super) fn too_large(&self) -> Refusal {
        let (limit, most) = self.body_limit();
        request_refusals::too_large(limit, most)
    }
}
