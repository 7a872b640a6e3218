//! Kinds of consumers, and the forms in which they get items.

/// What `__anext__` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Values decoded from their frames.
    Items,
    /// Frames.
    Frames,
    /// All frames that are there, framing included, as one `bytes`.
    Chunks,
}

/// Who takes a stream's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerKind {
    /// Python code, which gets the handler's exceptions as well.
    Python,
    /// A server on an event loop: what a client is told is all that it has of an exception.
    Server,
    /// A task of tokio.
    Rust,
}
