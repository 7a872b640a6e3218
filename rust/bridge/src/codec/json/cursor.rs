//! Where a reader is in its input.

use crate::codec::events::{Fault, invalid};

const BYTE_ORDER_MARK: &str = "a byte order mark, which JSON does not have; bytes.decode(\"utf-8-sig\") drops it";

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
        match self.input.get(..self.at).unwrap_or(self.input) {
            [] if self.input.starts_with(b"\xef\xbb\xbf") => invalid(0, BYTE_ORDER_MARK),
            [] if self.input.starts_with(b"\xff\xfe") || self.input.starts_with(b"\xfe\xff") => {
                invalid(0, "text in UTF-16; JSON is UTF-8")
            }
            space if self.at >= self.input.len() => invalid(
                self.at,
                if space.iter().all(|byte| b" \t\r\n".contains(byte)) { "an empty message" } else { "truncated" },
            ),
            _ => invalid(self.at, format!("expected {wanted}")),
        }
    }
}
