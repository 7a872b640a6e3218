//! The frame being written, with its limit.

use std::fmt;

use pybridge_pool::Writer;

/// A format could not go on; the reason, where the walker has not said it already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Halt(pub(super) &'static str);

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Halt {}

impl serde::ser::Error for Halt {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("")
    }
}

/// The open frame of a [`Writer`] and the bytes it may still grow by.
#[derive(Debug)]
pub(super) struct Sink<'w> {
    out: &'w mut Writer,
    room: usize,
    full: bool,
}

impl<'w> Sink<'w> {
    pub(super) fn new(out: &'w mut Writer, room: usize) -> Self {
        Self { out, room, full: false }
    }

    /// True after a write was refused.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.take(bytes.len())?;
        self.out.put(bytes);
        Ok(())
    }

    #[inline]
    pub(super) fn put_u8(&mut self, byte: u8) -> Result<(), Halt> {
        self.take(1)?;
        self.out.put_u8(byte);
        Ok(())
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<(), Halt> {
        match self.room.checked_sub(len) {
            Some(left) => {
                self.room = left;
                Ok(())
            }
            None => Err(self.refuse()),
        }
    }

    #[cold]
    fn refuse(&mut self) -> Halt {
        self.full = true;
        Halt("the frame is full")
    }
}
