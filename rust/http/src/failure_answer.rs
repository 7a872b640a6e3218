//! Failures as HTTP answers: status, headers and a JSON body.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use pybridge::codec::{self, Format};
use pybridge::{FailureKind, StreamError};
use serde::Serialize;

use crate::option_headers::{HeaderError, REQUEST_ID};

/// Public clients repeat every failure of the server's unless they are told not to.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Seconds after which a call that found no place may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What a handler's `PublicError` may not say: it belongs to the body that is sent, or to the connection.
const NOT_THE_HANDLERS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// HTTP status of a call that ends with `error` before its first item.
///
/// ```
/// # use pybridge::{Reason, StreamError};
/// let status = pybridge_http::status_of(&StreamError::Cancelled(Reason::Deadline));
/// assert_eq!(status, http::StatusCode::GATEWAY_TIMEOUT);
/// ```
pub fn status_of(error: &StreamError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A failure as a client is told of it. No text of an unexpected exception is in it.
///
/// The body is `{"error": {"type", "message", "code", "param", "request_id"}}`, all five keys always there:
///
/// * `type` follows the status: `invalid_request_error`, `authentication_error` (401), `permission_error` (403),
///   `not_found_error` (404), `rate_limit_error` (429), `cancelled` (499), `server_error`, `unavailable_error` (503),
///   `timeout_error` (504).
/// * `code` is the `PublicError`'s own, or names the failure: `handler_error`, `overloaded`, `deadline`.
/// * `param` is the header that cannot be used.
///
/// The headers: `Retry-After` where the engine has no place or is closing; `x-should-retry: false` where public clients would
/// try again in vain; what a `PublicError` brings along.
///
/// ```
/// # use pybridge::{Reason, StreamError};
/// use pybridge_http::HttpError;
///
/// let answer = HttpError::from(StreamError::Cancelled(Reason::Deadline)).with_request_id("r-7").into_http();
/// assert_eq!(answer.status(), 504);
/// assert_eq!(answer.headers()["x-should-retry"], "false");
/// assert!(answer.body().starts_with(br#"{"error":{"type":"timeout_error","#));
/// ```
#[derive(Debug, Clone)]
pub struct HttpError {
    cause: Cause,
    request_id: Option<String>,
}

#[derive(Debug, Clone)]
enum Cause {
    Stream(StreamError),
    Header(HeaderError),
    Refused(Refusal),
}

/// Why a request does not reach the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A name of the failure for programs.
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// The header that is at fault.
    pub(crate) param: Option<&'static str>,
    /// The methods that there are, where it is another.
    pub(crate) allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'text> {
    error: Details<'text>,
}

#[derive(Serialize)]
struct Details<'text> {
    r#type: &'static str,
    message: &'text str,
    code: Option<&'text str>,
    param: Option<&'text str>,
    request_id: Option<&'text str>,
}

impl From<StreamError> for HttpError {
    fn from(error: StreamError) -> Self {
        Self { cause: Cause::Stream(error), request_id: None }
    }
}

impl From<HeaderError> for HttpError {
    fn from(error: HeaderError) -> Self {
        Self { cause: Cause::Header(error), request_id: None }
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Self { cause: Cause::Refused(refusal), request_id: None }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Stream(error) if error.kind() == Some(FailureKind::Decode) => {
                write!(f, "the body of the request cannot be decoded: {error}")
            }
            Cause::Stream(error) => error.fmt(f),
            Cause::Header(error) => error.fmt(f),
            Cause::Refused(refusal) => f.write_str(&refusal.message),
        }
    }
}

impl std::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Stream(error) => Some(error),
            Cause::Header(error) => Some(error),
            Cause::Refused(_) => None,
        }
    }
}

impl HttpError {
    /// A stream's failure, with the name of its request where that is known.
    pub(crate) fn of(error: StreamError, request_id: Option<String>) -> Self {
        Self { cause: Cause::Stream(error), request_id }
    }

    /// Names the request in body and headers.
    #[must_use]
    pub fn with_request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// How the stream ended; `None`: the request was refused before there was one.
    pub fn stream_error(&self) -> Option<&StreamError> {
        match &self.cause {
            Cause::Stream(error) => Some(error),
            Cause::Header(_) | Cause::Refused(_) => None,
        }
    }

    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match &self.cause {
            Cause::Stream(error) => status_of(error),
            Cause::Header(error) => error.status(),
            Cause::Refused(refusal) => refusal.status,
        }
    }

    /// True if the same request may succeed a moment later.
    fn retryable(&self) -> bool {
        match &self.cause {
            Cause::Stream(error) => error.retryable(),
            Cause::Header(_) => false,
            Cause::Refused(refusal) => refusal.status == StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Headers of the answer, but for those of its body.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let status = self.status();
        let retryable = self.retryable();
        let answer = self.stream_error().and_then(StreamError::answer);
        let says_when =
            answer.is_some_and(|answer| answer.headers.keys().any(|name| name.eq_ignore_ascii_case("retry-after")));
        if !retryable && !says_when && is_repeated_by_clients(status) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        } else if retryable && answer.is_none() {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        for (name, value) in answer.into_iter().flat_map(|answer| &answer.headers) {
            let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !NOT_THE_HANDLERS.contains(name));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                headers.insert(name, value);
            }
        }
        if let Cause::Refused(Refusal { status, allow, .. }) = &self.cause {
            if let Some(methods) = allow {
                headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            }
            if *status == StatusCode::UNAUTHORIZED {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
        }
        if let Some(id) = self.request_id.as_ref().and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }

    /// Body of the answer: JSON in one line.
    pub fn body(&self) -> Bytes {
        let (code, param) = (self.code(), self.param());
        let message = self.to_string();
        let request_id = self.request_id.as_deref();
        let details = Details { r#type: type_of(self.status()), message: &message, code, param, request_id };
        let body = Body { error: details };
        codec::to_bytes(Format::Json, &body).map(Bytes::from).unwrap_or_default()
    }

    /// A name of the failure for programs.
    pub(crate) fn code(&self) -> Option<&str> {
        match &self.cause {
            Cause::Stream(error) => code_of(error),
            Cause::Header(_) => Some("invalid_header"),
            Cause::Refused(refusal) => Some(refusal.code),
        }
    }

    /// The header of the request that is at fault.
    pub(crate) fn param(&self) -> Option<&str> {
        match &self.cause {
            Cause::Stream(_) => None,
            Cause::Header(error) => Some(error.name().as_str()),
            Cause::Refused(refusal) => refusal.param,
        }
    }

    /// The whole answer.
    pub fn into_http(self) -> Response<Bytes> {
        self.with_body(self.body())
    }

    /// The answer with this body, which is JSON.
    pub(crate) fn with_body(&self, body: Bytes) -> Response<Bytes> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

fn is_repeated_by_clients(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 429)
}

fn type_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        499 => "cancelled",
        503 => "unavailable_error",
        504 => "timeout_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn code_of(error: &StreamError) -> Option<&str> {
    let kind = match error {
        StreamError::Cancelled(reason) => return Some(reason.as_str()),
        error => error.kind()?,
    };
    Some(match kind {
        FailureKind::Handler => "handler_error",
        FailureKind::Timeout => "timeout",
        FailureKind::Public => return error.answer()?.code.as_deref(),
        FailureKind::InvalidArgument => {
            return error.answer().map_or(Some("invalid_argument"), |answer| answer.code.as_deref());
        }
        FailureKind::Encode => "encode_error",
        FailureKind::Decode => "decode_error",
        FailureKind::Overloaded => "overloaded",
        FailureKind::PoolExhausted => "pool_exhausted",
        FailureKind::TooLarge => "request_too_large",
        FailureKind::Closed => "engine_closed",
        FailureKind::HandlerExit => "handler_exit",
        FailureKind::Fork => "fork",
        _ => "internal_error",
    })
}
