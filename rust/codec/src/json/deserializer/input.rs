//! The input of a JSON deserializer, token by token, and its error.

use std::fmt;

use serde::de::{self, Error as _, Visitor};

use crate::DecodeError;
use crate::decode::visitor::NumberVisitor;
use crate::error::BoxedError;
use crate::json::cursor::Cursor;
use crate::json::{read_number, read_string};

/// What does not fit the type that was asked for, and the offset up to which the message was read by then.
#[derive(Debug)]
pub(crate) struct Mismatch {
    reason: Box<str>,
    at: Option<usize>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        self.at.map_or(Ok(()), |at| write!(f, " before byte {at}"))
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self { reason: reason.to_string().into(), at: None }
    }
}

impl From<BoxedError> for Mismatch {
    #[cold]
    fn from(error: BoxedError) -> Self {
        Self::custom(DecodeError::from(error))
    }
}

pub(super) type Result<T> = std::result::Result<T, Mismatch>;

/// A message that was scanned, and how far it was read.
#[derive(Debug)]
pub(crate) struct JsonDeserializer<'de> {
    pub(super) from: Cursor<'de>,
    /// Text of strings with escapes.
    scratch: Vec<u8>,
}

/// Text of the message itself, or made from its escapes.
pub(super) enum Text<'de, 's> {
    Plain(&'de str),
    Unescaped(&'s str),
}

impl<'de> JsonDeserializer<'de> {
    pub(crate) fn new(input: &'de [u8]) -> Self {
        Self { from: Cursor { input, at: 0 }, scratch: Vec::new() }
    }

    /// The result, with the offset where an error first has none.
    #[inline]
    pub(super) fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|mut error| {
            error.at.get_or_insert(self.from.at);
            error
        })
    }

    #[cold]
    pub(super) fn unexpected(&self, wanted: &str) -> Mismatch {
        self.from.unexpected(wanted).into()
    }

    /// Passes white space and one byte that has to be there.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8, wanted: &str) -> Result<()> {
        if self.from.skip() != Some(byte) {
            return Err(self.unexpected(wanted));
        }
        self.from.at += 1;
        Ok(())
    }

    /// Reads the string whose opening quote is next.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'de, '_>> {
        let Cursor { input, at } = self.from;
        if input.get(at) != Some(&b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = at + 1;
        let read = read_string::read(input, start, &mut self.scratch)?;
        self.from.at = read.end;
        // An escape is longer than what it stands for.
        if read.bytes.len() == read.end - 1 - start {
            Ok(Text::Plain(utf8(&input[start..read.end - 1])?))
        } else {
            Ok(Text::Unescaped(utf8(read.bytes)?))
        }
    }

    #[inline]
    pub(super) fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.text()? {
            Text::Plain(text) => visitor.visit_borrowed_str(text),
            Text::Unescaped(text) => visitor.visit_str(text),
        }
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<Number> {
        let mut number = Number::Unsigned(0);
        self.from.at = read_number::read(self.from.input, self.from.at, &mut number)?;
        Ok(number)
    }

    /// True if the end of a container is next; else passes the comma before the next element.
    #[inline]
    pub(super) fn ends(&mut self, close: u8, first: &mut bool) -> Result<bool> {
        let next = self.from.skip();
        if next == Some(close) {
            return Ok(true);
        }
        if !std::mem::take(first) {
            self.pass(b',', "a comma")?;
            self.from.skip();
        }
        Ok(false)
    }

    /// The text of the next value, as it stands in the message.
    pub(super) fn raw(&mut self) -> Result<&'de str> {
        self.from.skip();
        let start = self.from.at;
        self.from.pass_value()?;
        utf8(&self.from.input[start..self.from.at])
    }
}

pub(super) fn utf8(text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(Mismatch::custom)
}

/// A number as the reader found it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl NumberVisitor for Number {
    #[inline]
    fn signed(&mut self, value: i64) -> std::result::Result<(), BoxedError> {
        *self = Self::Signed(value);
        Ok(())
    }

    #[inline]
    fn unsigned(&mut self, value: u64) -> std::result::Result<(), BoxedError> {
        *self = Self::Unsigned(value);
        Ok(())
    }

    #[inline]
    fn float(&mut self, value: f64) -> std::result::Result<(), BoxedError> {
        *self = Self::Float(value);
        Ok(())
    }
}
