//! The reader of `MessagePack`: iterative, with a stack on the heap that is as deep as the limits say.

use super::cursor::Cursor;
use super::marker as m;
use crate::decode::nesting::Nesting;
use crate::decode::read_limits::ReadLimits;
use crate::decode::visitor::{PART, Visitor};
use crate::error::{BoxedError, invalid};
use crate::simd::is_ascii;

/// A container whose end has not come yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Values to come.
    left: u32,
    len: u32,
    map: bool,
}

/// Reads one message, a stretch at a time.
#[derive(Debug)]
pub(crate) struct Reader {
    nesting: Nesting<Open>,
}

impl Reader {
    pub(crate) fn new(limits: ReadLimits) -> Self {
        Self { nesting: Nesting::new(limits, Open { left: 1, len: 1, map: false }) }
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.nesting.at
    }

    /// What was done so far, in input bytes.
    pub(crate) fn work(&self) -> usize {
        self.nesting.work(self.nesting.at)
    }

    /// Reads on until the message ends (true) or its work passes `pause` (false).
    #[inline]
    pub(crate) fn run(&mut self, input: &[u8], pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        if self.nesting.at == 0 {
            self.nesting.limits.nodes(1, 0)?;
            to.expect(1)?;
        }
        let mut from = Cursor::new(input, self.nesting.at);
        let done = self.read(&mut from, pause, to);
        self.nesting.at = from.at;
        done
    }

    #[inline]
    fn read(&mut self, from: &mut Cursor<'_>, pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        loop {
            if self.nesting.work(from.at) >= pause && from.left() > 0 {
                return Ok(false);
            }
            self.nesting.inner.left -= 1;
            if self.nesting.inner.map {
                self.key(from, to)?;
            }
            let marker = from.byte()?;
            match marker {
                0..=0x7f => to.signed(marker.into())?,
                0xe0.. => to.signed(marker.cast_signed().into())?,
                m::FIXSTR..m::NIL => text((marker & 31).into(), from, to)?,
                m::FIXMAP..m::FIXARRAY => self.open((marker & 15).into(), true, from, to)?,
                m::FIXARRAY..m::FIXSTR => self.open((marker & 15).into(), false, from, to)?,
                m::NIL => to.null()?,
                m::FALSE => to.bool(false)?,
                m::TRUE => to.bool(true)?,
                m::F32 => to.float(f32::from_be_bytes(from.array()?).into())?,
                m::F64 => {
                    to.float(f64::from_be_bytes(from.array()?))?;
                    if !self.nesting.inner.map {
                        self.floats(from, pause, to)?;
                    }
                }
                m::U8..=m::I64 => integer(marker, from, to)?,
                m::STR8..=m::STR32 => text(from.length(marker - m::STR8)?, from, to)?,
                m::BIN8..=m::BIN32 => bytes(marker, from, to)?,
                m::ARRAY16 | m::ARRAY32 => {
                    let len = from.length(marker - m::ARRAY16 + 1)?;
                    self.open(len, false, from, to)?;
                }
                m::MAP16 | m::MAP32 => {
                    let len = from.length(marker - m::MAP16 + 1)?;
                    self.open(len, true, from, to)?;
                }
                _ => return Err(unknown(marker, from)),
            }
            while self.nesting.inner.left == 0 {
                let Open { len, map, .. } = self.nesting.inner;
                if !self.nesting.pop() {
                    return if from.left() == 0 { Ok(true) } else { Err(trailing(from)) };
                }
                if map { to.map(len as usize, from.at)? } else { to.array(len as usize)? }
            }
        }
    }

    /// Reads the floats that follow one in an array.
    #[inline]
    fn floats(&mut self, from: &mut Cursor<'_>, pause: usize, to: &mut impl Visitor) -> Result<(), BoxedError> {
        while self.nesting.inner.left > 0 && self.nesting.work(from.at) < pause && from.next_is(m::F64) {
            self.nesting.inner.left -= 1;
            from.at += 1;
            to.float(f64::from_be_bytes(from.array()?))?;
        }
        Ok(())
    }

    #[inline]
    fn open(&mut self, len: u32, map: bool, from: &Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
        self.nesting.enter(from.at - 1)?;
        let least = if map { 2 * len as usize } else { len as usize };
        if least > from.left() {
            return Err(invalid(from.at, "truncated: more values announced than bytes are left"));
        }
        self.nesting.limits.nodes(len as usize, from.at)?;
        to.expect(len as usize)?;
        self.nesting.push(Open { left: len, len, map });
        Ok(())
    }

    #[inline]
    fn key(&mut self, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
        let done = (self.nesting.inner.len - self.nesting.inner.left - 1) as usize;
        if done.is_multiple_of(PART) && done > 0 {
            to.part(done == PART)?;
        }
        let marker = from.byte()?;
        let len = match marker {
            m::FIXSTR..m::NIL => (marker & 31).into(),
            m::STR8..=m::STR32 => from.length(marker - m::STR8)?,
            _ => return self.other_key(marker, from, to),
        };
        let offset = from.at;
        to.key(from.take(len as usize)?, offset)
    }

    #[cold]
    fn other_key(&self, marker: u8, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
        let at = from.at - 1;
        if !self.nesting.limits.any_keys {
            let taken = "MsgpackCodec(keys=\"any\") takes integers and bytes as well";
            return Err(invalid(at, format!("a key that is not a string but {}; {taken}", kind(marker))));
        }
        to.other_key(at);
        match marker {
            0..=0x7f => to.signed(marker.into()),
            0xe0.. => to.signed(marker.cast_signed().into()),
            m::U8..=m::I64 => integer(marker, from, to),
            m::BIN8..=m::BIN32 => bytes(marker, from, to),
            _ => Err(invalid(at, format!("a key that is neither string, integer nor bytes but {}", kind(marker)))),
        }
    }
}

#[inline]
fn text(len: u32, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
    let offset = from.at;
    let text = from.take(len as usize)?;
    to.text(text, is_ascii(text), offset)
}

fn bytes(marker: u8, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
    let len = from.length(marker - m::BIN8)?;
    to.bytes(from.take(len as usize)?)
}

#[inline]
fn integer(marker: u8, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
    match marker {
        m::U8 => to.signed(u8::from_be_bytes(from.array()?).into()),
        m::U16 => to.signed(u16::from_be_bytes(from.array()?).into()),
        m::U32 => to.signed(u32::from_be_bytes(from.array()?).into()),
        m::U64 => to.unsigned(u64::from_be_bytes(from.array()?)),
        m::I8 => to.signed(i8::from_be_bytes(from.array()?).into()),
        m::I16 => to.signed(i16::from_be_bytes(from.array()?).into()),
        m::I32 => to.signed(i32::from_be_bytes(from.array()?).into()),
        _ => to.signed(i64::from_be_bytes(from.array()?)),
    }
}

/// What a marker begins, for messages.
fn kind(marker: u8) -> &'static str {
    match marker {
        m::FIXMAP..m::FIXARRAY | m::MAP16 | m::MAP32 => "a map",
        m::FIXARRAY..m::FIXSTR | m::ARRAY16 | m::ARRAY32 => "an array",
        m::NIL => "nil",
        m::FALSE | m::TRUE => "a boolean",
        m::BIN8..=m::BIN32 => "bytes",
        m::F32 | m::F64 => "a float",
        m::EXT8..=m::EXT32 | m::FIXEXT1..=m::FIXEXT16 => "an extension type",
        m::RESERVED => "the reserved marker",
        _ => "an integer",
    }
}

/// Refuses what begins with a marker that no value of ours has.
#[cold]
fn unknown(marker: u8, from: &mut Cursor<'_>) -> BoxedError {
    let at = from.at - 1;
    let code = match marker {
        m::FIXEXT1..=m::FIXEXT16 => from.byte(),
        m::EXT8..=m::EXT32 => from.length(marker - m::EXT8).and_then(|_| from.byte()),
        _ => return invalid(at, "the reserved marker 0xc1"),
    };
    let timestamp = |code| if code == -1 { " (timestamp)" } else { "" };
    match code.map(u8::cast_signed) {
        Ok(code) => invalid(at, format!("extension type {code}{}, which is not taken", timestamp(code))),
        Err(truncated) => truncated,
    }
}

/// JSON that is read as `MessagePack` begins with a small number: its first byte.
#[cold]
fn trailing(from: &Cursor<'_>) -> BoxedError {
    let json = from.at == 1 && matches!(from.input.first(), Some(b'{' | b'[' | b'"'));
    invalid(
        from.at,
        if json { "trailing bytes; it looks like JSON, and is read as MessagePack" } else { "trailing bytes" },
    )
}
