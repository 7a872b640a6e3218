//! Errors and streams as axum's responses.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

use crate::failure_answer::HttpError;
use crate::option_headers::HeaderError;
use crate::sse_and_ndjson::{Ndjson, Sse};

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        self.into_http().map(Body::from)
    }
}

impl IntoResponse for HeaderError {
    fn into_response(self) -> Response {
        HttpError::from(self).into_response()
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        self.into_http().map(Body::new)
    }
}

impl IntoResponse for Ndjson {
    fn into_response(self) -> Response {
        self.into_http().map(Body::new)
    }
}
