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
    /// Containers inside containers.
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
