//! The frame that is being written, and its greatest length.
#![expect(clippy::inline_always, reason = "a put of a few bytes is cheaper than a call")]

use std::fmt;

use pybridge_pool::Writer;

/// A format could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The walk has said why.
    Said,
    /// The frame is at its limit.
    Full,
    /// The format's own ceiling, far above every limit.
    TooLong,
    /// Only the walk writes to these formats, and a Python object is never one of Rust's own shapes.
    Unsupported,
    /// Text that Unicode encodings cannot hold.
    Text,
    /// Text of several lines where a frame is one line.
    Lines,
    /// NaN or an infinity where the format has none.
    Nonfinite,
    /// Bytes where the format has none.
    Bytes,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Said => "",
            Self::Full => "the frame is full",
            Self::TooLong => "longer than MessagePack can say",
            Self::Unsupported => "not a shape of a Python object",
            Self::Text => "str holds a surrogate",
            Self::Lines => "SSE and NDJSON frames hold one line; leave indent out of model_dump",
            Self::Nonfinite => "NaN and infinity are not JSON; JsonCodec(nonfinite=\"null\") writes null",
            Self::Bytes => "bytes are not JSON; JsonCodec(bytes=\"base64\") writes base64 text",
        })
    }
}

impl std::error::Error for Halt {}

impl serde::ser::Error for Halt {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Said
    }
}

/// The open frame of a [`Writer`] and the length it may reach.
///
/// The limit is looked at when the frame has to move and at its end, so that a put of a few bytes is one compare.
#[derive(Debug)]
pub(crate) struct Sink<'w> {
    out: &'w mut Writer,
    /// Where the item begins in the frame, after its framing.
    start: usize,
    max: usize,
    full: bool,
}

impl<'w> Sink<'w> {
    /// A sink for at most `limit` more bytes.
    pub(crate) fn new(out: &'w mut Writer, limit: usize) -> Self {
        let start = out.frame_len();
        Self { out, start, max: start.saturating_add(limit), full: false }
    }

    /// True after a write was refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// What was written so far.
    pub(crate) fn item(&mut self) -> &mut [u8] {
        &mut self.out.frame_mut()[self.start..]
    }

    /// The limit's last word, after everything was written.
    pub(crate) fn finish(&mut self) -> Result<(), Halt> {
        if self.out.frame_len() > self.max { Err(self.refuse()) } else { Ok(()) }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.ensure(bytes.len(), bytes.len())?;
        self.out.put(bytes);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn put_u8(&mut self, byte: u8) -> Result<(), Halt> {
        self.ensure(1, 1)?;
        self.out.put_u8(byte);
        Ok(())
    }

    /// Appends what `head` puts at the start of an array, then `bytes`; it returns how many bytes of the array count.
    #[inline(always)]
    pub(crate) fn put_after<const N: usize>(
        &mut self,
        bytes: &[u8],
        head: impl FnOnce(&mut [u8; N]) -> usize,
    ) -> Result<(), Halt> {
        self.ensure(bytes.len().saturating_add(N), bytes.len() + 1)?;
        self.out.put_after(bytes, head);
        Ok(())
    }

    /// Appends what `write` puts at the start of an array; it returns how many bytes.
    #[inline(always)]
    pub(crate) fn put_with<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) -> Result<(), Halt> {
        self.put_after(&[], write)
    }

    /// Appends what `write` puts at the start of `max` bytes; it returns how many, which is at least `least`.
    #[inline(always)]
    pub(crate) fn put_max(
        &mut self,
        max: usize,
        least: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), Halt> {
        self.ensure(max, least)?;
        self.out.put_with(max, write);
        Ok(())
    }

    /// Makes room for `len` bytes at once, of which at least `least` will be used.
    pub(crate) fn expect(&mut self, len: usize, least: usize) -> Result<(), Halt> {
        self.ensure(len, least)
    }

    #[inline(always)]
    fn ensure(&mut self, len: usize, least: usize) -> Result<(), Halt> {
        if len > self.out.room() { self.grow(len, least) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize, least: usize) -> Result<(), Halt> {
        if self.out.frame_len().saturating_add(least) > self.max {
            return Err(self.refuse());
        }
        self.out.reserve(len);
        Ok(())
    }

    #[cold]
    fn refuse(&mut self) -> Halt {
        self.full = true;
        Halt::Full
    }
}

/// Writes the text of `value`, piece by piece, by `put`.
pub(crate) fn put_display<T: fmt::Display + ?Sized>(
    value: &T,
    put: impl FnMut(&[u8]) -> Result<(), Halt>,
) -> Result<(), Halt> {
    struct Pieces<F> {
        put: F,
        halt: Option<Halt>,
    }

    impl<F: FnMut(&[u8]) -> Result<(), Halt>> fmt::Write for Pieces<F> {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            (self.put)(piece.as_bytes()).map_err(|halt| {
                self.halt = Some(halt);
                fmt::Error
            })
        }
    }

    let mut pieces = Pieces { put, halt: None };
    fmt::write(&mut pieces, format_args!("{value}")).map_err(|fmt::Error| pieces.halt.unwrap_or(Halt::Text))
}
