//! The input of a JSON reader and the place in it.

use crate::error::{BoxedError, invalid};
use crate::simd::plain;

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
    pub(super) fn word<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), BoxedError> {
        if self.input.get(self.at..).and_then(<[u8]>::first_chunk) != Some(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += N;
        Ok(())
    }

    /// Passes the next value, whatever it is.
    pub(super) fn pass_value(&mut self) -> Result<(), BoxedError> {
        let mut depth = 0_usize;
        loop {
            match self.skip() {
                Some(b'"') => self.pass_string(),
                Some(b'{' | b'[') => {
                    self.at += 1;
                    depth += 1;
                }
                Some(b'}' | b']') => {
                    self.at += 1;
                    depth = depth.checked_sub(1).ok_or_else(|| self.unexpected("a value"))?;
                }
                Some(b',' | b':') if depth > 0 => self.at += 1,
                Some(_) => self.pass_word(),
                None => return Err(self.unexpected("a value")),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn pass_string(&mut self) {
        let input = self.input;
        let mut at = self.at + 1;
        loop {
            at = plain(input, at).end;
            match input.get(at) {
                Some(b'\\') => at = (at + 2).min(input.len()),
                _ => break,
            }
        }
        self.at = (at + 1).min(input.len());
    }

    /// Passes a number or a word.
    fn pass_word(&mut self) {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|byte| b",:]} \n\t\r".contains(byte)).unwrap_or(rest.len());
        self.at += end.max(1);
    }

    #[cold]
    pub(super) fn unexpected(&self, wanted: &str) -> BoxedError {
        match self.input.get(..self.at).unwrap_or(self.input) {
            [] if self.input.starts_with(b"\xef\xbb\xbf") => invalid(0, BYTE_ORDER_MARK),
            [] if self.input.starts_with(b"\xff\xfe") || self.input.starts_with(b"\xfe\xff") => {
                invalid(0, "text in UTF-16; JSON is UTF-8")
            }
            space if self.at >= self.input.len() => {
                let is_empty = space.iter().all(|byte| b" \t\r\n".contains(byte));
                let expected = || format!("expected {wanted}, not the end of the message");
                invalid(self.at, if is_empty { "an empty message".into() } else { expected() })
            }
            _ => invalid(self.at, format!("expected {wanted}")),
        }
    }
}
