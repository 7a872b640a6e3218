//! The heads of answers that are no failures.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};

use super::answer_body::AnswerBody;
use super::body::ChunkBody;
use crate::headers::REQUEST_ID;

/// Tells nginx, and proxies that follow it, to pass each chunk on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a stream's answer begins with.
pub(crate) fn streamed(content_type: &'static str, body: ChunkBody) -> Response<ChunkBody> {
    let id = body.request_id();
    let mut response = whole(content_type, Some(id), body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// What an answer in one piece begins with.
pub(crate) fn buffered(content_type: &'static str, request_id: String, body: Bytes) -> Response<AnswerBody> {
    whole(content_type, Some(request_id), body.into())
}

/// An answer of this type, to the request of this name.
pub(crate) fn whole<B>(content_type: &'static str, request_id: Option<String>, body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(id) = request_id.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
