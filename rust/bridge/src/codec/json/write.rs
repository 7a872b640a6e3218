//! A serde format over the pool's writer.
#![expect(clippy::inline_always, reason = "the leaves of a container belong into its loop")]

use std::fmt;

use base64_simd::{AsOut, STANDARD};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::escape;
use crate::codec::narrow::narrow_serializer;
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

impl Json<'_> {
    #[inline]
    fn quoted(&mut self, text: &[u8]) -> Result<(), Halt> {
        if text.len() > escape::BLOCK {
            return self.quoted_blocks(text);
        }
        let room = self.sink.room(escape::room_for(text.len()) + 2, text.len() + 2)?;
        room[0] = b'"';
        let end = 1 + escape::write(text, &mut room[1..]);
        room[end] = b'"';
        self.sink.advance(end + 1);
        Ok(())
    }

    #[inline(never)]
    fn quoted_blocks(&mut self, text: &[u8]) -> Result<(), Halt> {
        self.sink.put_u8(b'"')?;
        self.sink.room(text.len() + text.len() / 16 + escape::room_for(escape::BLOCK), text.len() + 1)?;
        self.escaped(text)?;
        self.sink.put_u8(b'"')
    }

    fn escaped(&mut self, text: &[u8]) -> Result<(), Halt> {
        for block in text.chunks(escape::BLOCK) {
            let room = self.sink.room(escape::room_for(block.len()), block.len())?;
            let len = escape::write(block, room);
            self.sink.advance(len);
        }
        Ok(())
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
        if self.nonfinite_null { self.sink.put(b"null") } else { Err(Halt::Nonfinite) }
    }
}

/// Text in pieces, between its quotes.
struct Pieces<'a, 'w> {
    json: &'a mut Json<'w>,
    halt: Option<Halt>,
}

impl fmt::Write for Pieces<'_, '_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.json.escaped(piece.as_bytes()).map_err(|halt| {
            self.halt = Some(halt);
            fmt::Error
        })
    }
}

impl<'a, 'w> Serializer for &'a mut Json<'w> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Compound<'a, 'w>;
    type SerializeMap = Compound<'a, 'w>;

    narrow_serializer!();

    #[inline(always)]
    fn serialize_unit(self) -> Result<(), Halt> {
        self.sink.put(b"null")
    }

    #[inline(always)]
    fn serialize_bool(self, v: bool) -> Result<(), Halt> {
        self.sink.put(if v { b"true" } else { b"false" })
    }

    #[inline(always)]
    fn serialize_i64(self, v: i64) -> Result<(), Halt> {
        self.sink.put(itoa::Buffer::new().format(v).as_bytes())
    }

    #[inline(always)]
    fn serialize_u64(self, v: u64) -> Result<(), Halt> {
        self.sink.put(itoa::Buffer::new().format(v).as_bytes())
    }

    #[inline(always)]
    fn serialize_f32(self, v: f32) -> Result<(), Halt> {
        if v.is_finite() { self.sink.put(zmij::Buffer::new().format_finite(v).as_bytes()) } else { self.nonfinite() }
    }

    #[inline(always)]
    fn serialize_f64(self, v: f64) -> Result<(), Halt> {
        if v.is_finite() { self.sink.put(zmij::Buffer::new().format_finite(v).as_bytes()) } else { self.nonfinite() }
    }

    #[inline(always)]
    fn serialize_str(self, v: &str) -> Result<(), Halt> {
        self.quoted(v.as_bytes())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Halt> {
        self.sink.put_u8(b'"')?;
        let mut pieces = Pieces { json: self, halt: None };
        if fmt::write(&mut pieces, format_args!("{value}")).is_err() {
            return Err(pieces.halt.unwrap_or(Halt::Text));
        }
        self.sink.put_u8(b'"')
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Halt> {
        if self.bytes_base64 { self.base64(v) } else { Err(Halt::Bytes) }
    }

    #[inline(always)]
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a, 'w>, Halt> {
        self.sink.put_u8(b'[')?;
        Ok(Compound { json: self, close: b']', first: true })
    }

    #[inline(always)]
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
    #[inline(always)]
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

    #[inline(always)]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.separate()?;
        value.serialize(&mut *self.json)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Halt> {
        self.json.sink.put_u8(self.close)
    }
}

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = Halt;

    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        self.separate()?;
        key.serialize(&mut *self.json)
    }

    #[inline(always)]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.json.sink.put_u8(b':')?;
        value.serialize(&mut *self.json)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Halt> {
        self.json.sink.put_u8(self.close)
    }
}
