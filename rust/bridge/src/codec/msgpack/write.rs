//! A serde format over the pool's writer.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::marker as m;
use crate::codec::narrow::{NARROW, narrow_serializer};
use crate::codec::sink::{Halt, Sink};

/// Writes `MessagePack`, every integer and header in its shortest form.
#[derive(Debug)]
pub(in crate::codec) struct Msgpack<'w>(pub(in crate::codec) Sink<'w>);

impl Msgpack<'_> {
    #[inline]
    fn put1(&mut self, marker: u8, byte: u8) -> Result<(), Halt> {
        self.0.put(&[marker, byte])
    }

    #[inline]
    fn put2(&mut self, marker: u8, bytes: [u8; 2]) -> Result<(), Halt> {
        self.0.put(&[marker, bytes[0], bytes[1]])
    }

    #[inline]
    fn put4(&mut self, marker: u8, bytes: [u8; 4]) -> Result<(), Halt> {
        let [a, b, c, d] = bytes;
        self.0.put(&[marker, a, b, c, d])
    }

    #[inline]
    fn put8(&mut self, marker: u8, bytes: [u8; 8]) -> Result<(), Halt> {
        let mut all = [marker; 9];
        all[1..].copy_from_slice(&bytes);
        self.0.put(&all)
    }

    fn header(&mut self, len: usize, fix: (u8, usize), m16: u8, m32: u8) -> Result<(), Halt> {
        if len < fix.1 {
            self.0.put_u8(fix.0 | len as u8)
        } else if let Ok(len) = u16::try_from(len) {
            self.put2(m16, len.to_be_bytes())
        } else if let Ok(len) = u32::try_from(len) {
            self.put4(m32, len.to_be_bytes())
        } else {
            Err(TOO_LONG)
        }
    }
}

/// The format's own ceiling, far above every limit.
const TOO_LONG: Halt = Halt("longer than MessagePack can say");

impl Serializer for &mut Msgpack<'_> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Self;
    type SerializeMap = Self;

    narrow_serializer!();

    #[inline]
    fn serialize_unit(self) -> Result<(), Halt> {
        self.0.put_u8(m::NIL)
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), Halt> {
        self.0.put_u8(if v { m::TRUE } else { m::FALSE })
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Result<(), Halt> {
        if let Ok(v) = u64::try_from(v) {
            self.serialize_u64(v)
        } else if v >= -32 {
            self.0.put_u8((v as i8).cast_unsigned())
        } else if let Ok(v) = i8::try_from(v) {
            self.put1(m::I8, v.cast_unsigned())
        } else if let Ok(v) = i16::try_from(v) {
            self.put2(m::I16, v.to_be_bytes())
        } else if let Ok(v) = i32::try_from(v) {
            self.put4(m::I32, v.to_be_bytes())
        } else {
            self.put8(m::I64, v.to_be_bytes())
        }
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Result<(), Halt> {
        if v < 128 {
            self.0.put_u8(v as u8)
        } else if let Ok(v) = u8::try_from(v) {
            self.put1(m::U8, v)
        } else if let Ok(v) = u16::try_from(v) {
            self.put2(m::U16, v.to_be_bytes())
        } else if let Ok(v) = u32::try_from(v) {
            self.put4(m::U32, v.to_be_bytes())
        } else {
            self.put8(m::U64, v.to_be_bytes())
        }
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Result<(), Halt> {
        self.put4(m::F32, v.to_be_bytes())
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Result<(), Halt> {
        self.put8(m::F64, v.to_be_bytes())
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Halt> {
        if let (32..256, len) = (v.len(), v.len()) {
            self.put1(m::STR8, len as u8)?;
        } else {
            self.header(v.len(), (m::FIXSTR, 32), m::STR16, m::STR32)?;
        }
        self.0.put(v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Halt> {
        if let Ok(len) = u8::try_from(v.len()) {
            self.put1(m::BIN8, len)?;
        } else {
            self.header(v.len(), (0, 0), m::BIN16, m::BIN32)?;
        }
        self.0.put(v)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Halt> {
        self.header(len.ok_or(NARROW)?, (m::FIXARRAY, 16), m::ARRAY16, m::ARRAY32)?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self, Halt> {
        self.header(len.ok_or(NARROW)?, (m::FIXMAP, 16), m::MAP16, m::MAP32)?;
        Ok(self)
    }
}

impl SerializeSeq for &mut Msgpack<'_> {
    type Ok = ();
    type Error = Halt;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Halt> {
        Ok(())
    }
}

impl SerializeMap for &mut Msgpack<'_> {
    type Ok = ();
    type Error = Halt;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Halt> {
        Ok(())
    }
}
