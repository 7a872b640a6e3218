//! Options of one call.

use std::collections::HashMap;
use std::time::Duration;

use crate::codec::{Format, Limits};
use crate::error::{Failure, FailureKind};

/// Metadata that belongs to the trace: W3C baggage.
const BAGGAGE: &str = "baggage";

/// What a caller says about one call. No text may hold control characters.
///
/// ```
/// use std::time::Duration;
/// use pybridge::CallOptions;
///
/// let options = CallOptions::default()
///     .request_id("r-1")
///     .metadata_entry("tenant", "blue")
///     .timeout(Duration::from_secs(60))
///     .idle_timeout(Duration::from_secs(10))
///     .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!(options.metadata["tenant"], "blue");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Name of the request in logs and in `Context.id`; made up when absent.
    pub request_id: Option<String>,
    /// Passed to the handler as `Context.metadata`. Of these only `baggage` goes on to nested calls.
    pub metadata: HashMap<String, String>,
    /// Whole-stream timeout, queueing included.
    pub timeout: Option<Duration>,
    /// Longest time between two items.
    pub idle_timeout: Option<Duration>,
    /// W3C trace context, passed on unread, to nested calls as well.
    pub traceparent: Option<String>,
    /// W3C trace state, passed on unread.
    pub tracestate: Option<String>,
    /// Format of the encoded request; `None`: the engine's.
    pub encoded: Option<Format>,
    /// Format of the items, with the engine's hooks; `None`: the engine's, or JSON in a framing that is text.
    pub codec: Option<Format>,
}

impl CallOptions {
    /// Names the request in logs and in `Context.id`.
    #[must_use]
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// Sets all of `Context.metadata`.
    #[must_use]
    pub fn metadata(self, entries: HashMap<String, String>) -> Self {
        Self { metadata: entries, ..self }
    }

    /// Adds to `Context.metadata`, or replaces what it has of this name.
    #[must_use]
    pub fn metadata_entry(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Bounds the whole stream, queueing included; `None`: no bound.
    #[must_use]
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { timeout: timeout.into(), ..self }
    }

    /// Bounds the time between two items; `None`: no bound.
    #[must_use]
    pub fn idle_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { idle_timeout: timeout.into(), ..self }
    }

    /// Sets the W3C trace context.
    #[must_use]
    pub fn traceparent(self, value: impl Into<String>) -> Self {
        Self { traceparent: Some(value.into()), ..self }
    }

    /// Sets the W3C trace state.
    #[must_use]
    pub fn tracestate(self, value: impl Into<String>) -> Self {
        Self { tracestate: Some(value.into()), ..self }
    }

    /// Sets the format of the encoded request; `None`: the engine's.
    #[must_use]
    pub fn encoded(self, format: impl Into<Option<Format>>) -> Self {
        Self { encoded: format.into(), ..self }
    }

    /// Sets the format of the items; `None`: the engine's, or JSON in a framing that is text.
    #[must_use]
    pub fn codec(self, format: impl Into<Option<Format>>) -> Self {
        Self { codec: format.into(), ..self }
    }

    /// A nested call goes on with its parent's trace and baggage unless it names its own.
    pub(crate) fn inherit(&mut self, parent: &Self) {
        if self.traceparent.is_none() {
            self.traceparent.clone_from(&parent.traceparent);
            self.tracestate.clone_from(&parent.tracestate);
        }
        if let Some(baggage) = parent.metadata.get(BAGGAGE)
            && !self.metadata.contains_key(BAGGAGE)
        {
            self.metadata.insert(BAGGAGE.to_owned(), baggage.clone());
        }
    }

    /// Refuses more metadata than the limits allow, and text that would not stay on its line, in a log or a header.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Box<Failure>> {
        let refused =
            |class: &str, message: String| Err(Box::new(Failure::new(FailureKind::InvalidArgument, class, message)));
        let over =
            |limit: &str, message: String| Err(Box::new(Failure::over(FailureKind::InvalidArgument, limit, message)));
        let entries = self.metadata.len();
        if entries > limits.max_metadata_entries {
            return over("max_metadata_entries", format!("metadata of {entries} entries is over max_metadata_entries"));
        }
        let bytes: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > limits.max_metadata_bytes {
            return over("max_metadata_bytes", format!("metadata of {bytes} bytes is over max_metadata_bytes"));
        }
        let metadata = self.metadata.iter().flat_map(|(key, value)| [("metadata", key), ("metadata", value)]);
        let named =
            [("request_id", &self.request_id), ("traceparent", &self.traceparent), ("tracestate", &self.tracestate)];
        let texts = named.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?))).chain(metadata);
        for (field, text) in texts {
            if text.chars().any(char::is_control) {
                return refused("ConfigError", format!("{field}: must not hold control characters"));
            }
        }
        Ok(())
    }
}
