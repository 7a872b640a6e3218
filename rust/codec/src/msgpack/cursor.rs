//! The input of a `MessagePack` reader and the place in it.

use crate::error::{BoxedError, invalid};

/// The input and the offset of its next byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'i> {
    pub(super) input: &'i [u8],
    pub(super) at: usize,
}

impl<'i> Cursor<'i> {
    pub(super) fn new(input: &'i [u8], at: usize) -> Self {
        Self { input, at }
    }

    /// Bytes to come.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.input.len() - self.at
    }

    #[inline]
    pub(super) fn next_is(&self, byte: u8) -> bool {
        self.input.get(self.at) == Some(&byte)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, BoxedError> {
        let Some(&byte) = self.input.get(self.at) else { return Err(self.truncated()) };
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxedError> {
        let Some(bytes) = self.input.get(self.at..).and_then(<[u8]>::first_chunk) else { return Err(self.truncated()) };
        self.at += N;
        Ok(*bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'i [u8], BoxedError> {
        let Some(bytes) = self.input.get(self.at..).and_then(|rest| rest.get(..len)) else {
            return Err(self.truncated());
        };
        self.at += len;
        Ok(bytes)
    }

    /// A length of one, two or four bytes, for 0, 1 or 2.
    #[inline]
    pub(super) fn length(&mut self, width: u8) -> Result<u32, BoxedError> {
        Ok(match width {
            0 => self.byte()?.into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    #[cold]
    fn truncated(&self) -> BoxedError {
        invalid(self.input.len(), if self.input.is_empty() { "an empty message" } else { "truncated" })
    }
}
