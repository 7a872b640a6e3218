//! What all requests to one service share.

use bytes::Bytes;
use http::Response;
use pybridge::EngineProfile;

use super::options::ProtocolOptions;
use super::pages::{LIVE, METRICS, READY};
use super::route::Page;
use crate::error::HttpError;

/// Checked options, and the engine that they are for.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) options: ProtocolOptions,
    pub(super) profile: EngineProfile,
    /// Where the calls are.
    pub(super) path: String,
}

impl Terms {
    /// The page at this path, if it is switched on.
    pub(super) fn page(&self, path: &str) -> Option<Page> {
        match path {
            LIVE if self.options.health => Some(Page::Live),
            READY if self.options.health => Some(Page::Ready),
            METRICS if self.options.metrics => Some(Page::Metrics),
            _ => None,
        }
    }

    /// The answer to a request that failed before its answer began.
    pub(super) fn refused(&self, error: impl Into<HttpError>, request_id: String) -> Response<Bytes> {
        self.options.api.error_answer(&error.into().with_request_id(request_id))
    }
}
