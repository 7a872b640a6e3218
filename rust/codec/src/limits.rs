//! Limits of one message, in both directions.

use pybridge_pool::setters;

/// What to do with a key that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DuplicateKeys {
    /// The last value wins.
    #[default]
    Last,
    /// `DecodeError`.
    Error,
}

/// Limits of one message, both directions; a value that cannot be is refused when the engine is made.
///
/// A field that has its default takes the value of the environment variable `PYBRIDGE_LIMITS_<FIELD>`, if that is set.
///
/// ```
/// use pybridge_codec::{DuplicateKeys, Limits};
///
/// let limits = Limits::default().max_frame_bytes(1 << 20).duplicate_keys(DuplicateKeys::Error);
/// assert_eq!((limits.max_frame_bytes, limits.max_depth), (1 << 20, 128));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Containers inside containers; at most 384 ([`MAX_DEPTH`](Self::MAX_DEPTH)), and no more than the stack of the
    /// thread holds; 128 unless set.
    pub max_depth: usize,
    /// Values, containers included; 1,000,000 unless set.
    pub max_nodes: usize,
    /// Encoded bytes; 16 MiB unless set.
    pub max_frame_bytes: usize,
    /// Bytes of the Python objects made from one message; 256 MiB unless set.
    pub max_decoded_bytes: usize,
    /// Bytes of all metadata keys and values; 8 KiB unless set.
    pub max_metadata_bytes: usize,
    /// Entries of metadata; 64 unless set.
    pub max_metadata_entries: usize,
    /// Rule for a key that comes twice; the last wins unless set.
    pub duplicate_keys: DuplicateKeys,
    /// Bytes of the Python objects made from each byte of a message, above the first 64 MiB; 8 unless set.
    pub max_expansion: usize,
}

setters!(Limits {
    max_depth: usize,
    max_nodes: usize,
    max_frame_bytes: usize,
    max_decoded_bytes: usize,
    max_metadata_bytes: usize,
    max_metadata_entries: usize,
    duplicate_keys: DuplicateKeys,
    max_expansion: usize,
});

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
            max_expansion: 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_384_containers_lie_inside_one_another() {
        let depth = |max_depth| Limits { max_depth, ..Limits::default() }.depth();
        assert_eq!([depth(0), depth(128), depth(384), depth(385), depth(usize::MAX)], [0, 128, 384, 384, 384]);
    }
}
