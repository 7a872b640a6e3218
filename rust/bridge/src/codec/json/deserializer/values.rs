//! A JSON message as serde's `Deserializer`, for Rust values.
//!
//! It accepts what `serde_json` accepts for the same type, keys that are numbers and `RawValue` included. A message is
//! scanned before it is read, so that only its types can be wrong here, and it nests no deeper than the limits say.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::enum_variant::{UnitVariant, Variant};
use super::map_key::Key;
use crate::codec::DecodeError;
use crate::codec::decode::visitor::{Fault, Numbers};
use crate::codec::json::cursor::Cursor;
use crate::codec::json::{read_number, read_string};

/// The name by which `serde_json::value::RawValue` asks for the text of a value, and of the one key that has it.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// What does not fit the type that was asked for, and the offset up to which the message was read by then.
#[derive(Debug)]
pub(in crate::codec) struct Mismatch {
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

impl From<Fault> for Mismatch {
    #[cold]
    fn from(fault: Fault) -> Self {
        Self::custom(DecodeError::from(fault))
    }
}

pub(super) type Result<T> = std::result::Result<T, Mismatch>;

/// A message that was scanned, and how far it was read.
#[derive(Debug)]
pub(in crate::codec) struct JsonDeserializer<'de> {
    from: Cursor<'de>,
    /// Text of strings with escapes.
    scratch: Vec<u8>,
}

/// Text of the message itself, or made from its escapes.
pub(super) enum Text<'de, 's> {
    Plain(&'de str),
    Unescaped(&'s str),
}

impl<'de> JsonDeserializer<'de> {
    pub(in crate::codec) fn new(input: &'de [u8]) -> Self {
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
    fn unexpected(&self, wanted: &str) -> Mismatch {
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
    fn number(&mut self) -> Result<Number> {
        let mut number = Number::Unsigned(0);
        self.from.at = read_number::read(self.from.input, self.from.at, &mut number)?;
        Ok(number)
    }

    #[inline]
    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.from.at += 1;
        let value = visitor.visit_seq(Elements { of: self, first: true })?;
        self.pass(b']', "the end of an array that has more elements than its type")?;
        Ok(value)
    }

    #[inline]
    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.from.at += 1;
        let value = visitor.visit_map(Members { of: self, first: true })?;
        self.pass(b'}', "the end of an object that has more members than its type")?;
        Ok(value)
    }

    /// True if the end of a container is next; else passes the comma before the next element.
    #[inline]
    fn ends(&mut self, close: u8, first: &mut bool) -> Result<bool> {
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
    fn raw(&mut self) -> Result<&'de str> {
        self.from.skip();
        let start = self.from.at;
        self.from.pass_value()?;
        utf8(&self.from.input[start..self.from.at])
    }
}

fn utf8(text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(Mismatch::custom)
}

/// A number as the reader found it.
#[derive(Debug, Clone, Copy)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Numbers for Number {
    #[inline]
    fn signed(&mut self, value: i64) -> std::result::Result<(), Fault> {
        *self = Self::Signed(value);
        Ok(())
    }

    #[inline]
    fn unsigned(&mut self, value: u64) -> std::result::Result<(), Fault> {
        *self = Self::Unsigned(value);
        Ok(())
    }

    #[inline]
    fn float(&mut self, value: f64) -> std::result::Result<(), Fault> {
        *self = Self::Float(value);
        Ok(())
    }
}

impl<'de> Deserializer<'de> for &mut JsonDeserializer<'de> {
    type Error = Mismatch;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let value = match self.from.skip() {
            Some(b'"') => self.string(visitor),
            Some(b'{') => self.object(visitor),
            Some(b'[') => self.array(visitor),
            Some(b'-' | b'0'..=b'9') => match self.number()? {
                Number::Unsigned(value) => visitor.visit_u64(value),
                Number::Signed(value) => visitor.visit_i64(value),
                Number::Float(value) => visitor.visit_f64(value),
            },
            Some(b't') => {
                self.from.word(b"true")?;
                visitor.visit_bool(true)
            }
            Some(b'f') => {
                self.from.word(b"false")?;
                visitor.visit_bool(false)
            }
            Some(b'n') => {
                self.from.word(b"null")?;
                visitor.visit_unit()
            }
            _ => Err(self.unexpected("a value")),
        };
        self.located(value)
    }

    /// The number that is nearest to the text; to go by way of a `f64` would round twice.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.from.skip();
        let start = self.from.at;
        if !matches!(self.from.input.get(start), Some(b'-' | b'0'..=b'9')) {
            return self.deserialize_any(visitor);
        }
        self.number()?;
        let number =
            utf8(&self.from.input[start..self.from.at])?.parse().ok().filter(|number: &f32| number.is_finite());
        let number = number.ok_or_else(|| Mismatch::custom("a number that no 32-bit float can hold"));
        let value = number.and_then(|number| visitor.visit_f32(number));
        self.located(value)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.from.skip() != Some(b'"') {
            return self.deserialize_any(visitor);
        }
        let value = match self.text()? {
            Text::Plain(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Text::Unescaped(text) => visitor.visit_bytes(text.as_bytes()),
        };
        self.located(value)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.from.skip() == Some(b'n') {
            self.from.word(b"null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == RAW_VALUE {
            return visitor.visit_map(Raw { text: Some(self.raw()?) });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let value = match self.from.skip() {
            Some(b'{') => {
                self.from.at += 1;
                self.from.skip();
                let value = visitor.visit_enum(Variant { of: self });
                value.and_then(|value| self.pass(b'}', "the end of an enum").map(|()| value))
            }
            Some(b'"') => visitor.visit_enum(UnitVariant { of: self }),
            _ => return self.deserialize_any(visitor),
        };
        self.located(value)
    }

    /// A string and nothing else: names of fields and variants have no numbers here.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let value = match self.from.skip() {
            Some(b'"') => self.string(visitor),
            _ => Err(Mismatch::invalid_type(Unexpected::Other("a value that is no string"), &visitor)),
        };
        self.located(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.from.pass_value()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f64 char str string unit unit_struct seq tuple tuple_struct map struct
    }
}

/// The elements of an array.
struct Elements<'d, 'de> {
    of: &'d mut JsonDeserializer<'de>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Mismatch;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.of.ends(b']', &mut self.first)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.of).map(Some)
    }
}

/// The members of an object.
struct Members<'d, 'de> {
    of: &'d mut JsonDeserializer<'de>,
    first: bool,
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Mismatch;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.of.ends(b'}', &mut self.first)? {
            return Ok(None);
        }
        seed.deserialize(Key { of: self.of }).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.of.pass(b':', "a colon")?;
        seed.deserialize(&mut *self.of)
    }
}

/// The text of a value as the map of one member that `RawValue` is read from.
struct Raw<'de> {
    text: Option<&'de str>,
}

impl<'de> MapAccess<'de> for Raw<'de> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        match self.text {
            Some(_) => seed.deserialize(RAW_VALUE.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let text = self.text.take().unwrap_or_default();
        seed.deserialize(BorrowedStrDeserializer::new(text))
    }
}
