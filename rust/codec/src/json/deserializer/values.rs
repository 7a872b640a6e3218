//! A JSON message as serde's `Deserializer`, for Rust values.
//!
//! It accepts what `serde_json` accepts for the same type, keys that are numbers and `RawValue` included. A message is
//! scanned before it is read, so that only its types can be wrong here, and it nests no deeper than the limits say.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::enum_variant::{UnitVariant, Variant};
use super::input::{JsonDeserializer, Mismatch, Number, Result, Text, utf8};
use super::map_key::Key;

/// The name by which `serde_json::value::RawValue` asks for the text of a value, and of the one key that has it.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> JsonDeserializer<'de> {
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
