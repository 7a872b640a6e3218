//! The finish reason of answers whose handler may give none.

/// The reason in the last chunk of deltas: the handler's, or the usual one.
pub(super) fn of_deltas(given: Option<&[u8]>, has_tool_calls: bool) -> &[u8] {
    let usual: &[u8] = if has_tool_calls { b"\"tool_calls\"" } else { b"\"stop\"" };
    given.unwrap_or(usual)
}
