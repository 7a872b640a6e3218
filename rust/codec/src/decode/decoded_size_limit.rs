//! The limit on the size of the objects that one message may become, and what each kind of object counts.

use crate::Limits;

/// What objects cost the interpreter, in bytes; containers without what they hold.
pub(super) mod cost {
    /// Any value and its place in a container: numbers are as large, texts and containers cost more on top.
    pub(in crate::decode) const VALUE: usize = 32 + 8;
    pub(in crate::decode) const TEXT: usize = 24;
    pub(in crate::decode) const LIST: usize = 32;
    pub(in crate::decode) const DICT: usize = 32;
    /// The first pairs' table.
    pub(in crate::decode) const TABLE: usize = 96;
    pub(in crate::decode) const PAIR: usize = 40;
    /// A key of its own.
    pub(in crate::decode) const KEY: usize = 49;
}

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
}
