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
/// use pybridge::{DuplicateKeys, Limits};
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

/// What one decoding may always make, however small its message.
const DECODED_FLOOR: usize = 64 << 20;

/// Bytes of objects that one message may become, and the field of [`Limits`] that says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecodedBound {
    pub(super) bytes: usize,
    pub(super) field: &'static str,
    /// Length of the message.
    len: usize,
}

impl DecodedBound {
    /// What is said of a message over it.
    pub(super) fn reason(self) -> String {
        format!("objects of more than {} bytes from a message of {} bytes", self.bytes, self.len)
    }
}

impl Limits {
    /// The bound for a message of `len` bytes.
    pub(super) fn decoded_bound(&self, len: usize) -> DecodedBound {
        let expanded = len.saturating_mul(self.max_expansion).max(DECODED_FLOOR);
        if expanded < self.max_decoded_bytes {
            DecodedBound { bytes: expanded, field: "max_expansion", len }
        } else {
            DecodedBound { bytes: self.max_decoded_bytes, field: "max_decoded_bytes", len }
        }
    }
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
            max_expansion: 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guarantee L-06.
    #[test]
    fn objects_are_bound_by_the_message_above_64_mib_and_by_their_own_limit_in_any_case() {
        let limits = Limits::default();
        let bound = |limits: &Limits, len| (limits.decoded_bound(len).bytes, limits.decoded_bound(len).field);
        assert_eq!(bound(&limits, 0), (64 << 20, "max_expansion"));
        assert_eq!(bound(&limits, 8 << 20), (64 << 20, "max_expansion"));
        assert_eq!(bound(&limits, 10 << 20), (80 << 20, "max_expansion"));
        assert_eq!(bound(&limits, 32 << 20), (256 << 20, "max_decoded_bytes"), "where both say the same");
        assert_eq!(bound(&limits, usize::MAX), (256 << 20, "max_decoded_bytes"));
        assert_eq!(bound(&Limits { max_decoded_bytes: 100, ..limits }, 10), (100, "max_decoded_bytes"));
        let reason = Limits::default().decoded_bound(5).reason();
        assert_eq!(reason, "objects of more than 67108864 bytes from a message of 5 bytes");
    }

    #[test]
    fn no_more_than_384_containers_lie_inside_one_another() {
        let depth = |max_depth| Limits { max_depth, ..Limits::default() }.depth();
        assert_eq!([depth(0), depth(128), depth(384), depth(385), depth(usize::MAX)], [0, 128, 384, 384, 384]);
    }
}
