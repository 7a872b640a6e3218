//! A serde format over the pool's writer.

use base64_simd::{AsOut, STANDARD};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use crate::codec::lanes::plain;
use crate::codec::narrow::{NARROW, narrow_serializer};
use crate::codec::sink::{Halt, Sink};

/// Writes compact JSON.
#[derive(Debug)]
pub(in crate::codec) struct Json<'w> {
    pub(in crate::codec) sink: Sink<'w>,
    /// bytes become base64 text instead of an error.
    pub(in crate::codec) bytes_base64: bool,
    /// NaN and infinities become null instead of an error.
    pub(in crate::codec) nonfinite_null: bool,
}

/// Bytes of base64 text made at a time, from three quarters as many.
const BASE64_STEP: usize = 4096;

const NONFINITE: Halt = Halt("NaN and infinity are not JSON; JsonCodec(nonfinite=\"null\") writes null");
const BYTES: Halt = Halt("bytes are not JSON; JsonCodec(bytes=\"base64\") writes base64 text");

impl Json<'_> {
    fn quoted(&mut self, text: &[u8]) -> Result<(), Halt> {
        self.sink.put_u8(b'"')?;
        let mut start = 0;
        loop {
            let at = plain(text, start).end;
            self.sink.put(&text[start..at])?;
            let Some(&byte) = text.get(at) else { break };
            self.escape(byte)?;
            start = at + 1;
        }
        self.sink.put_u8(b'"')
    }

    fn escape(&mut self, byte: u8) -> Result<(), Halt> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                return self.sink.put(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
            }
        };
        self.sink.put(&[b'\\', short])
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let mut text = [0; BASE64_STEP];
        self.sink.put_u8(b'"')?;
        for part in bytes.chunks(BASE64_STEP / 4 * 3) {
            let text = STANDARD.encode(part, text.as_mut_slice().as_out());
            self.sink.put(text)?;
        }
        self.sink.put_u8(b'"')
    }

    fn nonfinite(&mut self) -> Result<(), Halt> {
        if self.nonfinite_null { self.sink.put(b"null") } else { Err(NONFINITE) }
    }
}

impl<'a, 'w> Serializer for &'a mut Json<'w> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Compound<'a, 'w>;
    type SerializeMap = Compound<'a, 'w>;

    narrow_serializer!();

    #[inline]
    fn serialize_unit(self) -> Result<(), Halt> {
        self.sink.put(b"null")
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), Halt> {
        self.sink.put(if v { b"true" } else { b"false" })
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Result<(), Halt> {
        self.sink.put(itoa::Buffer::new().format(v).as_bytes())
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Result<(), Halt> {
        self.sink.put(itoa::Buffer::new().format(v).as_bytes())
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Result<(), Halt> {
        if v.is_finite() { self.sink.put(zmij::Buffer::new().format_finite(v).as_bytes()) } else { self.nonfinite() }
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Result<(), Halt> {
        if v.is_finite() { self.sink.put(zmij::Buffer::new().format_finite(v).as_bytes()) } else { self.nonfinite() }
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Halt> {
        self.quoted(v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Halt> {
        if self.bytes_base64 { self.base64(v) } else { Err(BYTES) }
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a, 'w>, Halt> {
        self.sink.put_u8(b'[')?;
        Ok(Compound { json: self, close: b']', first: true })
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a, 'w>, Halt> {
        self.sink.put_u8(b'{')?;
        Ok(Compound { json: self, close: b'}', first: true })
    }
}

/// An array or object that is open.
#[derive(Debug)]
pub(in crate::codec) struct Compound<'a, 'w> {
    json: &'a mut Json<'w>,
    close: u8,
    first: bool,
}

impl Compound<'_, '_> {
    #[inline]
    fn separate(&mut self) -> Result<(), Halt> {
        if self.first {
            self.first = false;
            return Ok(());
        }
        self.json.sink.put_u8(b',')
    }
}

impl SerializeSeq for Compound<'_, '_> {
    type Ok = ();
    type Error = Halt;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.separate()?;
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> Result<(), Halt> {
        self.json.sink.put_u8(self.close)
    }
}

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = Halt;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        self.separate()?;
        key.serialize(&mut *self.json)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.json.sink.put_u8(b':')?;
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> Result<(), Halt> {
        self.json.sink.put_u8(self.close)
    }
}
