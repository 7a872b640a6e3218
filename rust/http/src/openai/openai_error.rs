//! Errors in `OpenAI`'s shape.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use pybridge::codec::{self, Format};
use serde::Serialize;

use crate::failure_answer::HttpError;

/// A failure as clients of `OpenAI` know it: `{"error": {"message", "type", "param", "code"}}`, all four keys always there.
#[derive(Debug, Clone)]
pub(crate) struct OpenAiError {
    status: StatusCode,
    message: String,
    param: Option<Box<str>>,
    code: Option<Box<str>>,
    /// Those that an [`HttpError`] brought along.
    headers: Option<Box<HeaderMap>>,
}

#[derive(Serialize)]
struct Body<'text> {
    error: Details<'text>,
}

#[derive(Serialize)]
struct Details<'text> {
    message: &'text str,
    r#type: &'static str,
    param: Option<&'text str>,
    code: Option<&'text str>,
}

impl OpenAiError {
    /// An error without param and code.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, headers: None }
    }

    /// Names the part of the request that is wrong.
    #[must_use]
    pub(crate) fn param(self, param: impl Into<Box<str>>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// Names the failure for programs.
    #[must_use]
    pub(crate) fn code(self, code: impl Into<Box<str>>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// Body of the answer, and the data of an event that tells of the failure: JSON in one line.
    pub(crate) fn body(&self) -> Bytes {
        let (param, code) = (self.param.as_deref(), self.code.as_deref());
        let body = Body { error: Details { message: &self.message, r#type: type_of(self.status), param, code } };
        codec::to_bytes(Format::Json, &body).map(Bytes::from).unwrap_or_default()
    }

    /// The whole answer; the request's id is the caller's to add, if no [`HttpError`] brought it along.
    pub(crate) fn into_http(self) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.map(|headers| *headers).unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<&HttpError> for OpenAiError {
    fn from(error: &HttpError) -> Self {
        Self {
            status: error.status(),
            message: error.to_string(),
            param: error.param().map(Box::from),
            code: error.code().map(Box::from),
            headers: Some(Box::new(error.headers())),
        }
    }
}

fn type_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}
