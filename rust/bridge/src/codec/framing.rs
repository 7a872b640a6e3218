//! Where a frame begins and ends on the wire.

/// Written around each item while it is encoded, in the same buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// The encoded item alone.
    #[default]
    None,
    /// One server-sent event: `data: …\n\n`.
    Sse,
    /// One line.
    Ndjson,
    /// Big-endian u32 length before the item.
    Length,
}
