//! An iterative reader: its stack is on the heap and as deep as the limit says.

use smallvec::SmallVec;

use super::{number, text};
use crate::codec::events::{Budget, CONTAINER_WORK, Fault, PART, Receiver, invalid};
use crate::error::DecodeError;

/// A container whose end has not come yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    len: usize,
    map: bool,
}

/// Depth of a message that needs no allocation for the reader.
const SHALLOW: usize = 8;

/// Reads one message, a stretch at a time.
#[derive(Debug)]
pub(in crate::codec) struct Reader {
    at: usize,
    /// Containers opened, weighed.
    opened: usize,
    open: SmallVec<[Open; SHALLOW]>,
    budget: Budget,
    scratch: Vec<u8>,
}

impl Reader {
    pub(in crate::codec) fn new(budget: Budget) -> Self {
        Self { at: 0, opened: 0, open: SmallVec::new(), budget, scratch: Vec::new() }
    }

    /// Offset of the next byte.
    pub(in crate::codec) fn offset(&self) -> usize {
        self.at
    }

    /// What was done so far, in input bytes.
    pub(in crate::codec) fn work(&self) -> usize {
        self.at + self.opened
    }

    /// Reads on until the message ends (true) or its work passes `pause` (false).
    pub(in crate::codec) fn run(&mut self, input: &[u8], pause: usize, to: &mut impl Receiver) -> Result<bool, Fault> {
        loop {
            if self.at + self.opened >= pause && self.at < input.len() {
                return Ok(false);
            }
            if self.value(input, to)? {
                continue;
            }
            loop {
                let byte = self.skip(input);
                let Some(top) = self.open.last_mut() else {
                    return if byte.is_none() { Ok(true) } else { Err(invalid(self.at, "trailing bytes")) };
                };
                top.len += 1;
                let Open { len, map } = *top;
                match byte {
                    Some(b',') if map => {
                        self.at += 1;
                        if len.is_multiple_of(PART) {
                            to.part(len == PART)?;
                        }
                        self.skip(input);
                        self.key(input, to)?;
                        break;
                    }
                    Some(b',') => {
                        self.at += 1;
                        break;
                    }
                    Some(b'}') if map => {
                        self.at += 1;
                        to.map(len, self.at)?;
                    }
                    Some(b']') if !map => {
                        self.at += 1;
                        to.array(len)?;
                    }
                    _ => return Err(self.unexpected(input, "a comma or the end of the container")),
                }
                self.open.pop();
            }
        }
    }

    /// Reads one value; true if it is a container that has just opened and its first value is next.
    #[inline]
    fn value(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<bool, Fault> {
        let byte = self.skip(input);
        self.budget.nodes(1, self.at)?;
        to.expect(1)?;
        match byte {
            Some(b'"') => {
                let offset = self.at + 1;
                let text = text::read(input, offset, &mut self.scratch)?;
                self.at = text.end;
                to.text(text.bytes, text.ascii, offset).map_err(|fault| located(fault, input, offset, text.end))?;
            }
            Some(b'-' | b'0'..=b'9') => self.at = number::read(input, self.at, to)?,
            Some(b'{') => return self.map(input, to),
            Some(b'[') => return self.array(input, to),
            Some(b't') => {
                self.word(input, b"true")?;
                to.bool(true)?;
            }
            Some(b'f') => {
                self.word(input, b"false")?;
                to.bool(false)?;
            }
            Some(b'n') => {
                self.word(input, b"null")?;
                to.null()?;
            }
            _ => return Err(self.unexpected(input, "a value")),
        }
        Ok(false)
    }

    #[inline]
    fn map(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<bool, Fault> {
        self.budget.depth(self.open.len() + 1, self.at)?;
        self.opened += CONTAINER_WORK;
        self.at += 1;
        if self.skip(input) == Some(b'}') {
            self.at += 1;
            to.map(0, self.at)?;
            return Ok(false);
        }
        self.open.push(Open { len: 0, map: true });
        self.key(input, to)?;
        Ok(true)
    }

    #[inline]
    fn array(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<bool, Fault> {
        self.budget.depth(self.open.len() + 1, self.at)?;
        self.opened += CONTAINER_WORK;
        self.at += 1;
        if self.skip(input) == Some(b']') {
            self.at += 1;
            to.array(0)?;
            return Ok(false);
        }
        self.open.push(Open { len: 0, map: false });
        Ok(true)
    }

    /// Reads a key and its colon.
    #[inline]
    fn key(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<(), Fault> {
        if input.get(self.at) != Some(&b'"') {
            return Err(self.unexpected(input, "a key"));
        }
        let offset = self.at + 1;
        let text = text::read(input, offset, &mut self.scratch)?;
        self.at = text.end;
        to.key(text.bytes, offset).map_err(|fault| located(fault, input, offset, text.end))?;
        if self.skip(input) != Some(b':') {
            return Err(self.unexpected(input, "a colon"));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn word(&mut self, input: &[u8], word: &[u8]) -> Result<(), Fault> {
        if !input[self.at..].starts_with(word) {
            return Err(self.unexpected(input, "a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes white space; the byte that is next.
    #[inline]
    fn skip(&mut self, input: &[u8]) -> Option<u8> {
        loop {
            match input.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[cold]
    fn unexpected(&self, input: &[u8], wanted: &str) -> Fault {
        if self.at >= input.len() {
            invalid(input.len(), "truncated")
        } else {
            invalid(self.at, format!("expected {wanted}"))
        }
    }
}

/// The fault, at the offset in the input where the text, which may have had escapes, stops being UTF-8.
#[cold]
fn located(fault: Fault, input: &[u8], start: usize, end: usize) -> Fault {
    match (DecodeError::from(fault), std::str::from_utf8(&input[start..end])) {
        (DecodeError::Invalid { reason, .. }, Err(error)) => invalid(start + error.valid_up_to(), reason),
        (other, _) => other.into(),
    }
}
