//! Failures in the shape that clients know.

use http::StatusCode;
use pybridge::{Failure, FailureKind, Reason, StreamError};
use serde_json::{Value, json};

use crate::HttpError;
use crate::openai::OpenAiError;

fn told(error: &OpenAiError) -> Value {
    serde_json::from_slice(&error.body()).expect("JSON")
}

#[test]
fn the_type_follows_the_status() {
    let table = [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (405, "invalid_request_error"),
        (413, "invalid_request_error"),
        (415, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
        (504, "server_error"),
    ];
    for (status, kind) in table {
        let error = OpenAiError::new(StatusCode::from_u16(status).expect("a status"), "no");
        assert_eq!(
            told(&error),
            json!({"error": {"message": "no", "type": kind, "param": null, "code": null}}),
            "{status}"
        );
        let answer = error.into_http();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (status, &"application/json".parse().expect("a value"))
        );
    }
}

#[test]
fn a_streams_failure_keeps_its_status_its_headers_and_its_code() {
    let failure = |kind| StreamError::Failed(Box::new(Failure::new(kind, "ValueError", "told")));
    let table = [
        (failure(FailureKind::Handler), 500, "server_error", Some("handler_error"), ("x-should-retry", "false")),
        (failure(FailureKind::Overloaded), 503, "server_error", Some("overloaded"), ("retry-after", "1")),
        (failure(FailureKind::Decode), 400, "invalid_request_error", Some("decode_error"), ("x-request-id", "r7")),
        (
            failure(FailureKind::TooLarge),
            413,
            "invalid_request_error",
            Some("request_too_large"),
            ("x-request-id", "r7"),
        ),
        (StreamError::Cancelled(Reason::Deadline), 504, "server_error", Some("deadline"), ("x-should-retry", "false")),
    ];
    for (error, status, kind, code, (name, value)) in table {
        let error = OpenAiError::from(&HttpError::from(error).with_request_id("r7"));
        let body = told(&error);
        assert_eq!((body["error"]["type"].as_str(), body["error"]["code"].as_str()), (Some(kind), code));
        let answer = error.into_http();
        assert_eq!((answer.status().as_u16(), answer.headers()[name].to_str().ok()), (status, Some(value)));
        assert_eq!(answer.headers()["x-request-id"], "r7");
    }
}
