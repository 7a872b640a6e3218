//! Requests that do not reach the handler, each with its status.

use http::StatusCode;

use crate::failure_answer::Refusal;

fn refusal(status: StatusCode, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal { status, code, message: message.into(), param: None, allow: None }
}

pub(super) fn not_found() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

/// `allow`: the methods that there are.
pub(super) fn wrong_method(allow: &'static str) -> Refusal {
    let message = format!("the method must be {allow}");
    Refusal { allow: Some(allow), ..refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message) }
}

/// `limit`: the setting that the body is over; `most`: its value, in bytes.
pub(super) fn too_large(limit: &str, most: usize) -> Refusal {
    let message = format!("the body of the request is over {limit} = {most} bytes");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

/// The body did not come in time.
#[cfg(feature = "server")]
pub(super) fn too_slow() -> Refusal {
    refusal(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body of the request came too slowly")
}

/// No call is taken any more.
#[cfg(feature = "server")]
pub(super) fn draining() -> Refusal {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is shutting down")
}

pub(super) fn unsupported(header: &'static str, message: &'static str) -> Refusal {
    Refusal { param: Some(header), ..refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message) }
}

/// `offers`: the types that there are.
pub(super) fn not_acceptable(offers: &str) -> Refusal {
    let message = format!("the answer can be {offers}");
    Refusal { param: Some("accept"), ..refusal(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message) }
}

#[cfg(feature = "server")]
pub(super) fn without_key() -> Refusal {
    refusal(StatusCode::UNAUTHORIZED, "invalid_api_key", "the request must carry a valid API key")
}
