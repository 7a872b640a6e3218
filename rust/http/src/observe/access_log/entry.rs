//! The facts of one request and its answer that an access log tells.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request};

use crate::observe::Outcome;
use crate::option_headers::REQUEST_ID;

/// One request.
#[derive(Debug)]
pub(crate) struct Entry {
    /// When its head came.
    pub(super) time: SystemTime,
    pub(crate) client: Option<IpAddr>,
    /// `None`: its head is none of HTTP's.
    pub(super) line: Option<RequestLine>,
    /// Why it is not known what it is for.
    pub(super) reason: Option<String>,
    pub(super) referer: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(crate) request_id: Option<HeaderValue>,
}

/// The first line of a request.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
}

/// How a request was answered.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: StatusCode,
    pub(crate) items: u64,
    /// Of the body.
    pub(crate) bytes: u64,
    /// Time from the head of the request to the first item.
    pub(crate) first_item: Option<Duration>,
    /// Time from there to the end of the answer.
    pub(crate) duration: Duration,
    pub(crate) outcome: Outcome,
}

impl Entry {
    /// That of a request whose head has come.
    pub(crate) fn new(head: &request::Parts) -> Self {
        let header = |name: HeaderName| head.headers.get(name).cloned();
        Self {
            time: SystemTime::now(),
            client: None,
            line: Some(RequestLine { method: head.method.clone(), uri: head.uri.clone(), version: head.version }),
            reason: None,
            referer: header(header::REFERER),
            user_agent: header(header::USER_AGENT),
            request_id: header(REQUEST_ID),
        }
    }
    /// That of a request whose head is none of HTTP's.
    #[cfg(feature = "server")]
    pub(crate) fn without_head(client: Option<IpAddr>, reason: &str) -> Self {
        Self {
            time: SystemTime::now(),
            client,
            line: None,
            reason: Some(reason.to_owned()),
            referer: None,
            user_agent: None,
            request_id: None,
        }
    }
}
