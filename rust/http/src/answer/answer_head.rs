//! Answers from their heads on: of streams, of what is there in one piece, of calls that fail before.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use pybridge::{ChunkStream, Reason, StreamError};

use super::answer_body::AnswerBody;
use super::answer_pieces::Source;
use super::chunk_body::{ChunkBody, Failures};
use crate::api::Api;
use crate::failure_answer::HttpError;
use crate::observe::Outcome;
use crate::option_headers::{REQUEST_ID, made_up_id};

/// How long a head waits for the first item, unless said otherwise.
pub(crate) const COMMIT_AFTER: Duration = Duration::from_secs(10);

/// Time without a chunk after which a comment keeps the connection open, unless said otherwise.
pub(crate) const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);

/// Tells nginx, and proxies that follow it, to pass each chunk on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What `deliver` makes of a stream, or the failure before that in the shape of `api`. `request_id`: the request's name, for a
/// call that did not become a stream.
///
/// Dropping the future cancels the handler with the reason `client`.
pub(crate) fn answer<F>(
    started: Result<ChunkStream, StreamError>,
    request_id: Option<String>,
    api: Api,
    deliver: impl FnOnce(ChunkStream) -> F,
) -> impl Future<Output = Response<AnswerBody>> + Send
where
    F: Future<Output = Result<Response<AnswerBody>, StreamError>> + Send,
{
    let id = match &started {
        Ok(chunks) => chunks.request_id(),
        Err(_) => request_id.unwrap_or_else(made_up_id),
    };
    let delivered = started.map(|chunks| deliver(chunks.on_drop(Reason::Client)));
    async move {
        let answer = match delivered {
            Ok(delivered) => delivered.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => named(answer, id),
            Err(error) => {
                let outcome = Outcome::from(&error);
                failed(error, id, api).map(|body| AnswerBody::failure(body, outcome))
            }
        }
    }
}

/// The answer of a call that failed before its head.
pub(crate) fn failed(error: impl Into<HttpError>, request_id: String, api: Api) -> Response<Bytes> {
    api.error_answer(&error.into().with_request_id(request_id))
}

/// The answer of a stream, once its head can go: with the first piece, with the end, or after `wait`.
///
/// # Errors
/// The stream failed before that.
pub(crate) async fn stream(
    content_type: &'static str,
    source: Source,
    failures: Failures,
    wait: Duration,
    keep_alive: Duration,
) -> Result<Response<AnswerBody>, StreamError> {
    let mut body = ChunkBody::begin(source, failures, wait).await?;
    body.keep_alive(keep_alive);
    Ok(streamed(content_type, body).map(AnswerBody::from))
}

/// The answer of a stream whose head goes now.
pub(crate) fn streamed(content_type: &'static str, body: ChunkBody) -> Response<ChunkBody> {
    let mut response = whole(content_type, body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// An answer of this type that is there in one piece.
pub(crate) fn whole<B>(content_type: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    // Room for what a stream, its server and its host add: the map never grows.
    *response.headers_mut() = HeaderMap::with_capacity(8);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The answer with the name of its request.
pub(crate) fn named<B>(mut answer: Response<B>, request_id: String) -> Response<B> {
    if let Ok(id) = HeaderValue::try_from(request_id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}
