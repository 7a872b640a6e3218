//! Options of the protocol that a host sets: paths, pages, limits and waits.

use std::time::Duration;

use http::HeaderName;

use crate::answer;
use crate::api::Api;

/// What a host sets of the protocol; [`Protocol::new`](crate::Protocol::new) checks it.
///
/// ```
/// use std::time::Duration;
/// use pybridge_http::ProtocolOptions;
///
/// let options = ProtocolOptions::default().path("/chat".to_owned()).health(true).keep_alive(Duration::from_secs(10));
/// assert_eq!((options.max_body, options.metrics), (32 << 20, false));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProtocolOptions {
    /// What clients take the service for.
    pub api: Api,
    /// Where it is: the path of calls, `/generate` unless set; for `OpenAI`'s interface what all its paths begin with, `/v1` unless
    /// set.
    pub path: Option<String>,
    /// The models of `OpenAI`'s interface; none: a request may name any.
    pub models: Vec<String>,
    /// Whether there are `/health/live` and `/health/ready`.
    pub health: bool,
    /// Whether there is `/metrics`.
    pub metrics: bool,
    /// Longest body of a request in bytes: 32 MiB. The engine's own limit, `max_frame_bytes`, holds as well.
    pub max_body: usize,
    /// Longest time that a request may ask for by `X-Request-Timeout`: an hour.
    pub max_timeout: Duration,
    /// How long the head of an answer waits for the first item: 10 s.
    pub commit_after: Duration,
    /// After how long a silence a comment is sent among events: 15 s; zero: never.
    pub keep_alive: Duration,
    /// Time between two chunks of an answer; zero: each leaves as it comes.
    pub flush_interval: Duration,
    /// Headers of requests that become metadata, under their names in lower case.
    pub pass_headers: Vec<HeaderName>,
}

impl Default for ProtocolOptions {
    fn default() -> Self {
        Self {
            api: Api::Generic,
            path: None,
            models: Vec::new(),
            health: false,
            metrics: false,
            max_body: 32 << 20,
            max_timeout: Duration::from_secs(3600),
            commit_after: answer::COMMIT_AFTER,
            keep_alive: answer::KEEP_ALIVE_AFTER,
            flush_interval: Duration::ZERO,
            pass_headers: Vec::new(),
        }
    }
}

impl ProtocolOptions {
    /// Sets what clients take the service for.
    #[must_use]
    pub fn api(self, api: Api) -> Self {
        Self { api, ..self }
    }

    /// Sets where it is.
    #[must_use]
    pub fn path(self, path: impl Into<Option<String>>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Sets the models of `OpenAI`'s interface.
    #[must_use]
    pub fn models(self, models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { models: models.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets whether there are pages that tell of its health.
    #[must_use]
    pub fn health(self, health: bool) -> Self {
        Self { health, ..self }
    }

    /// Sets whether there is a page of metrics.
    #[must_use]
    pub fn metrics(self, metrics: bool) -> Self {
        Self { metrics, ..self }
    }

    /// Sets the longest body of a request, in bytes.
    #[must_use]
    pub fn max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// Sets the longest time that a request may ask for.
    #[must_use]
    pub fn max_timeout(self, max_timeout: Duration) -> Self {
        Self { max_timeout, ..self }
    }

    /// Sets how long the head of an answer waits for the first item.
    #[must_use]
    pub fn commit_after(self, commit_after: Duration) -> Self {
        Self { commit_after, ..self }
    }

    /// Sets after how long a silence a comment is sent among events; zero: never.
    #[must_use]
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// Sets the time between two chunks of an answer; zero: each leaves as it comes.
    #[must_use]
    pub fn flush_interval(self, flush_interval: Duration) -> Self {
        Self { flush_interval, ..self }
    }

    /// Sets the headers of requests that become metadata.
    #[must_use]
    pub fn pass_headers(self, pass_headers: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { pass_headers: pass_headers.into_iter().collect(), ..self }
    }
}
