//! The settings of an engine that its servers must know: format, unary or not, longest request.

use crate::codec::{Format, Limits};

/// What of an engine's settings decides how its requests and answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EngineProfile {
    /// Format of requests and items, unless a call says another.
    pub format: Format,
    /// The handler returns one value.
    pub unary: bool,
    /// Longest encoded request that the engine takes, in bytes; `None`: its pool decides.
    pub max_request: Option<usize>,
}

/// Longest encoded request in this format.
pub(super) fn max_request(limits: &Limits, format: Format) -> Option<usize> {
    (format != Format::Raw).then_some(limits.max_frame_bytes)
}
