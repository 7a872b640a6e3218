//! Where a reader is in its input.

use crate::codec::events::{Fault, invalid};

/// The input and the offset of its next byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'i> {
    pub(super) input: &'i [u8],
    pub(super) at: usize,
}

impl Cursor<'_> {
    /// Passes white space; the byte that is next.
    #[inline]
    pub(super) fn skip(&mut self) -> Option<u8> {
        loop {
            match self.input.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes a word whose first byte is next.
    #[inline]
    pub(super) fn word<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Fault> {
        if self.input.get(self.at..).and_then(<[u8]>::first_chunk) != Some(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += N;
        Ok(())
    }

    #[cold]
    pub(super) fn unexpected(&self, wanted: &str) -> Fault {
        if self.at >= self.input.len() {
            invalid(self.input.len(), "truncated")
        } else {
            invalid(self.at, format!("expected {wanted}"))
        }
    }
}
