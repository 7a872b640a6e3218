//! What all requests to one service share.

use bytes::Bytes;
use http::Response;
use pybridge::EngineProfile;

use super::options::ProtocolOptions;
use crate::error::HttpError;

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
    /// The answer to a request that failed before its answer began.
    pub(super) fn refused(&self, error: impl Into<HttpError>, request_id: String) -> Response<Bytes> {
        self.options.api.error_answer(&error.into().with_request_id(request_id))
    }
}
