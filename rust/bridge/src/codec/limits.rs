//! How much one message may be.

/// What to do with a key that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateKeys {
    /// The last value wins.
    #[default]
    Last,
    /// `DecodeError`.
    Error,
}

/// Limits of one message, both directions.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Containers inside containers; at most 384 ([`MAX_DEPTH`](Self::MAX_DEPTH)), and no more than the stack of the
    /// thread holds.
    pub max_depth: usize,
    /// Values, containers included.
    pub max_nodes: usize,
    /// Encoded bytes.
    pub max_frame_bytes: usize,
    /// Bytes of the Python objects made from one message.
    pub max_decoded_bytes: usize,
    /// Bytes of all metadata keys and values.
    pub max_metadata_bytes: usize,
    /// Entries of metadata.
    pub max_metadata_entries: usize,
    /// Rule for a key that comes twice.
    pub duplicate_keys: DuplicateKeys,
}

impl Limits {
    /// The most that `max_depth` can be; more counts as this.
    pub const MAX_DEPTH: usize = 384;

    pub(super) fn depth(&self) -> usize {
        self.max_depth.min(Self::MAX_DEPTH)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 128,
            max_nodes: 1_000_000,
            max_frame_bytes: 16 << 20,
            max_decoded_bytes: 256 << 20,
            max_metadata_bytes: 8 << 10,
            max_metadata_entries: 64,
            duplicate_keys: DuplicateKeys::Last,
        }
    }
}
