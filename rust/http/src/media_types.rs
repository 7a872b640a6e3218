//! Media types of requests and answers.

pub(crate) const EVENTS: &str = "text/event-stream; charset=utf-8";
pub(crate) const LINES: &str = "application/x-ndjson";
pub(crate) const JSON: &str = "application/json";
pub(crate) const MSGPACK: &str = "application/msgpack";
pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
