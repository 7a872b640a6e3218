//! The reader of JSON: iterative, with a stack on the heap that is as deep as the limits say.

use super::cursor::Cursor;
use super::{read_number, read_string};
use crate::DecodeError;
use crate::decode::nesting::Nesting;
use crate::decode::read_limits::ReadLimits;
use crate::decode::visitor::{PART, Visitor};
use crate::error::{BoxedError, invalid};

/// A container whose end has not come yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    len: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Map,
    Array,
    /// Outside all; holds the message.
    Outside,
}

/// Reads one message, a stretch at a time.
#[derive(Debug)]
pub(crate) struct Reader {
    nesting: Nesting<Open>,
    /// Text of strings with escapes.
    scratch: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(limits: ReadLimits) -> Self {
        Self { nesting: Nesting::new(limits, Open { len: 0, kind: Kind::Outside }), scratch: Vec::new() }
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
    pub(crate) fn run(&mut self, input: &[u8], pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        let mut from = Cursor { input, at: self.nesting.at };
        let done = self.read(&mut from, pause, to);
        self.nesting.at = from.at;
        done
    }

    #[inline]
    fn read(&mut self, from: &mut Cursor<'_>, pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        loop {
            if self.nesting.work(from.at) >= pause && from.at < from.input.len() {
                return Ok(false);
            }
            if self.value(from, pause, to)? {
                continue;
            }
            loop {
                let byte = from.skip();
                self.nesting.inner.len += 1;
                let Open { len, kind } = self.nesting.inner;
                match (byte, kind) {
                    (Some(b','), Kind::Map) => {
                        from.at += 1;
                        if len.is_multiple_of(PART) {
                            to.part(len == PART)?;
                        }
                        from.skip();
                        self.key(from, to)?;
                        break;
                    }
                    (Some(b','), Kind::Array) => {
                        from.at += 1;
                        break;
                    }
                    (Some(b'}'), Kind::Map) => {
                        from.at += 1;
                        to.map(len, from.at)?;
                    }
                    (Some(b']'), Kind::Array) => {
                        from.at += 1;
                        to.array(len)?;
                    }
                    (None, Kind::Outside) => return Ok(true),
                    (_, Kind::Outside) => return Err(invalid(from.at, "trailing bytes")),
                    _ => return Err(from.unexpected("a comma or the end of the container")),
                }
                self.nesting.pop();
            }
        }
    }

    /// Reads one value; true if it is a container that has just opened and its first value is next.
    #[inline]
    fn value(&mut self, from: &mut Cursor<'_>, pause: usize, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        let byte = from.skip();
        self.nesting.limits.nodes(1, from.at)?;
        to.expect(1)?;
        match byte {
            Some(b'"') => {
                let offset = from.at + 1;
                let text = read_string::read(from.input, offset, &mut self.scratch)?;
                from.at = text.end;
                to.text(text.bytes, text.ascii, offset)
                    .map_err(|error| located(error, from.input, offset, text.end))?;
            }
            Some(b'-' | b'0'..=b'9') => loop {
                from.at = read_number::read(from.input, from.at, to)?;
                if !self.another_number(from, pause) {
                    break;
                }
                self.nesting.limits.nodes(1, from.at)?;
                to.expect(1)?;
            },
            Some(b'{') => return self.map(from, to),
            Some(b'[') => return self.array(from, to),
            Some(b't') => {
                from.word(b"true")?;
                to.bool(true)?;
            }
            Some(b'f') => {
                from.word(b"false")?;
                to.bool(false)?;
            }
            Some(b'n') => {
                from.word(b"null")?;
                to.null()?;
            }
            _ => return Err(from.unexpected("a value")),
        }
        Ok(false)
    }

    /// After a number: passes the comma, and a space, if a number is the next value of an array.
    #[inline]
    fn another_number(&mut self, from: &mut Cursor<'_>, pause: usize) -> bool {
        let next = match from.input.get(from.at..) {
            Some([b',', b'-' | b'0'..=b'9', ..]) => from.at + 1,
            Some([b',', b' ', b'-' | b'0'..=b'9', ..]) => from.at + 2,
            _ => return false,
        };
        if self.nesting.inner.kind != Kind::Array || self.nesting.work(next) >= pause {
            return false;
        }
        self.nesting.inner.len += 1;
        from.at = next;
        true
    }

    #[inline]
    fn map(&mut self, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        self.enter(from)?;
        if from.skip() == Some(b'}') {
            from.at += 1;
            to.map(0, from.at)?;
            return Ok(false);
        }
        self.open(Kind::Map);
        self.key(from, to)?;
        Ok(true)
    }

    #[inline]
    fn array(&mut self, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<bool, BoxedError> {
        self.enter(from)?;
        if from.skip() == Some(b']') {
            from.at += 1;
            to.array(0)?;
            return Ok(false);
        }
        self.open(Kind::Array);
        Ok(true)
    }

    /// Passes the bracket of a container, and counts it.
    #[inline]
    fn enter(&mut self, from: &mut Cursor<'_>) -> Result<(), BoxedError> {
        self.nesting.enter(from.at)?;
        from.at += 1;
        Ok(())
    }

    #[inline]
    fn open(&mut self, kind: Kind) {
        self.nesting.push(Open { len: 0, kind });
    }

    /// Reads a key and its colon.
    #[inline(never)]
    fn key(&mut self, from: &mut Cursor<'_>, to: &mut impl Visitor) -> Result<(), BoxedError> {
        if from.input.get(from.at) != Some(&b'"') {
            return Err(from.unexpected("a key"));
        }
        let offset = from.at + 1;
        let text = read_string::read(from.input, offset, &mut self.scratch)?;
        from.at = text.end;
        to.key(text.bytes, offset).map_err(|error| located(error, from.input, offset, text.end))?;
        if from.skip() != Some(b':') {
            return Err(from.unexpected("a colon"));
        }
        from.at += 1;
        Ok(())
    }
}

/// The error, at the offset in the input where the text, which may have had escapes, stops being UTF-8.
#[cold]
fn located(error: BoxedError, input: &[u8], start: usize, end: usize) -> BoxedError {
    match (DecodeError::from(error), std::str::from_utf8(&input[start..end])) {
        (DecodeError::Invalid { reason, .. }, Err(error)) => invalid(start + error.valid_up_to(), reason),
        (other, _) => other.into(),
    }
}
