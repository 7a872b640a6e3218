//! Pages for those who run a service: health and metrics.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::answer::whole;
use crate::media_types;

pub(super) const LIVE: &str = "/health/live";
pub(super) const READY: &str = "/health/ready";
pub(super) const METRICS: &str = "/metrics";

/// A page for those who run a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// Whether the process lives: [`live_page`](crate::live_page).
    Live,
    /// Whether it takes calls: [`ready_page`](crate::ready_page).
    Ready,
    /// Its metrics: [`metrics_page`](crate::metrics_page).
    Metrics,
}

/// The version of Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4";

fn page(content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = whole(content_type, body.into());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The page `/health/live`: the process answers, and the event loop of the handlers has stood still for so long.
pub fn live_page(stalled: Duration) -> Response<Bytes> {
    page(media_types::JSON, format!(r#"{{"status":"ok","loop_stalled_ms":{}}}"#, stalled.as_millis()))
}

/// The page `/health/ready`: whether new calls are taken; status 503 while they are not.
pub fn ready_page(serving: bool) -> Response<Bytes> {
    if serving {
        return page(media_types::JSON, &br#"{"status":"ready"}"#[..]);
    }
    let mut response = page(media_types::JSON, &br#"{"status":"draining"}"#[..]);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// The page `/metrics`, from the text of [`metrics_text`](crate::metrics_text).
pub fn metrics_page(text: String) -> Response<Bytes> {
    page(EXPOSITION, text)
}

/// The same while they cannot be had: a scrape that fails, and no counters that fall.
#[cfg(feature = "server")]
pub(crate) fn no_metrics_page() -> Response<Bytes> {
    let mut response = page("text/plain; charset=utf-8", &b"the metrics cannot be read now\n"[..]);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
