//! The finish reason: of answers whose handler gives none, and empty ones, which stand for none.

/// Whether a value of `finish_reason` is empty text, which some servers send before the last chunk.
pub(super) fn is_empty(value: &[u8]) -> bool {
    value == b"\"\""
}

/// The reason in the last chunk of deltas: the handler's, or the usual one.
pub(super) fn of_deltas(given: Option<&[u8]>, has_tool_calls: bool) -> &[u8] {
    let usual: &[u8] = if has_tool_calls { b"\"tool_calls\"" } else { b"\"stop\"" };
    given.unwrap_or(usual)
}
