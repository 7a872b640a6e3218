//! The serializer of JSON, over the pool's writer. It refuses NaN, infinities and bytes unless the codec's options say
//! what to write for them.
#![expect(clippy::inline_always, reason = "the leaves of a container belong into its loop")]

use std::fmt;

use base64_simd::{AsOut, STANDARD};
use serde::{Serialize, Serializer};

use super::{write_ascii, write_integer, write_string};
use crate::encode::arrays_and_maps::{Compound, CompoundFormat};
use crate::encode::frame_sink::{Halt, Sink, put_display};
use crate::encode::unused_serializer_methods::unsupported_methods;
use crate::{CodecSpec, Framing};

/// Writes compact JSON.
#[derive(Debug)]
pub(crate) struct JsonSerializer<'w> {
    pub(crate) sink: Sink<'w>,
    spec: &'w CodecSpec,
    /// What comes next is not the first of its container.
    comma: bool,
    /// What comes next is a key.
    key: bool,
    /// What comes next is JSON already.
    spliced: bool,
    framing: Framing,
}

/// Bytes of base64 text made at a time, from three quarters as many.
const BASE64_STEP: usize = 4096;

impl<'w> JsonSerializer<'w> {
    pub(crate) fn new(sink: Sink<'w>, spec: &'w CodecSpec, framing: Framing) -> Self {
        Self { sink, spec, comma: false, key: false, spliced: false, framing }
    }

    /// Ends the item.
    pub(crate) fn finish(&mut self) -> Result<(), Halt> {
        if self.spec.ascii {
            write_ascii::escape(&mut self.sink)?;
        }
        self.sink.finish()
    }

    /// Writes what `write` puts at the start of `max` bytes, after the comma that it may need.
    #[inline(always)]
    fn leaf(&mut self, max: usize, least: usize, write: impl FnOnce(&mut [u8]) -> usize) -> Result<(), Halt> {
        let lead = usize::from(self.comma);
        self.comma = true;
        self.sink.put_max(max + 1, least, |room| {
            room[0] = b',';
            lead + write(&mut room[lead..])
        })
    }

    #[inline(always)]
    fn word<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Halt> {
        self.leaf(N, N, |room| {
            room[..N].copy_from_slice(word);
            N
        })
    }

    #[inline(always)]
    fn open(&mut self, bracket: u8) -> Result<(), Halt> {
        self.word(&[bracket])?;
        self.comma = false;
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self, bracket: u8) -> Result<(), Halt> {
        self.comma = true;
        self.sink.put_u8(bracket)
    }

    #[inline(always)]
    fn quoted(&mut self, text: &[u8]) -> Result<(), Halt> {
        if text.len() > write_string::BLOCK {
            return self.quoted_blocks(text);
        }
        let key = self.key;
        self.leaf(write_string::room_for(text.len()) + 3, text.len() + 2, |room| {
            room[0] = b'"';
            let end = 1 + write_string::write(text, &mut room[1..]);
            room[end..end + 2].copy_from_slice(b"\":");
            end + 1 + usize::from(key)
        })?;
        self.after_text();
        Ok(())
    }

    #[inline(always)]
    fn after_text(&mut self) {
        self.comma = !self.key;
        self.key = false;
    }

    #[inline(never)]
    fn quoted_blocks(&mut self, text: &[u8]) -> Result<(), Halt> {
        self.sink.expect(text.len() + text.len() / 16 + write_string::room_for(write_string::BLOCK), text.len() + 2)?;
        self.open_text()?;
        self.escaped(text)?;
        self.close_text()
    }

    fn open_text(&mut self) -> Result<(), Halt> {
        self.word(b"\"")
    }

    fn close_text(&mut self) -> Result<(), Halt> {
        self.sink.put_u8(b'"')?;
        if self.key {
            self.sink.put_u8(b':')?;
        }
        self.after_text();
        Ok(())
    }

    fn escaped(&mut self, text: &[u8]) -> Result<(), Halt> {
        for block in text.chunks(write_string::BLOCK) {
            self.sink
                .put_max(write_string::room_for(block.len()), block.len(), |room| write_string::write(block, room))?;
        }
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let mut text = [0; BASE64_STEP];
        self.open_text()?;
        for part in bytes.chunks(BASE64_STEP / 4 * 3) {
            let text = STANDARD.encode(part, text.as_mut_slice().as_out());
            self.sink.put(text)?;
        }
        self.close_text()
    }

    /// Text that another serializer wrote, as it is.
    #[inline(never)]
    fn splice(&mut self, json: &[u8]) -> Result<(), Halt> {
        self.spliced = false;
        if self.framing.is_text() && json.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(Halt::Lines);
        }
        if self.comma {
            self.sink.put_u8(b',')?;
        }
        self.comma = true;
        self.sink.put(json)
    }

    /// A number in digits.
    #[inline(always)]
    fn number(&mut self, digits: &str) -> Result<(), Halt> {
        let lead = usize::from(self.comma);
        self.comma = true;
        self.sink.put_after::<1>(digits.as_bytes(), |room| {
            room[0] = b',';
            lead
        })
    }

    #[inline(always)]
    fn nonfinite(&mut self) -> Result<(), Halt> {
        if self.spec.nonfinite_null { self.word(b"null") } else { Err(Halt::Nonfinite) }
    }
}

impl<'a, 'w> Serializer for &'a mut JsonSerializer<'w> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Compound<'a, JsonSerializer<'w>>;
    type SerializeMap = Compound<'a, JsonSerializer<'w>>;

    unsupported_methods!();

    #[inline(always)]
    fn serialize_unit(self) -> Result<(), Halt> {
        self.word(b"null")
    }

    #[inline(always)]
    fn serialize_bool(self, v: bool) -> Result<(), Halt> {
        if v { self.word(b"true") } else { self.word(b"false") }
    }

    #[inline(always)]
    fn serialize_i64(self, v: i64) -> Result<(), Halt> {
        match u64::try_from(v) {
            Ok(v) => self.serialize_u64(v),
            Err(_) => self.number(itoa::Buffer::new().format(v)),
        }
    }

    #[inline(always)]
    fn serialize_u64(self, v: u64) -> Result<(), Halt> {
        if v >= write_integer::FEW {
            return self.number(itoa::Buffer::new().format(v));
        }
        self.leaf(write_integer::ROOM, 1, |room| write_integer::write(v, room))
    }

    #[inline(always)]
    fn serialize_f32(self, v: f32) -> Result<(), Halt> {
        if v.is_finite() { self.number(zmij::Buffer::new().format_finite(v)) } else { self.nonfinite() }
    }

    #[inline(always)]
    fn serialize_f64(self, v: f64) -> Result<(), Halt> {
        if v.is_finite() { self.number(zmij::Buffer::new().format_finite(v)) } else { self.nonfinite() }
    }

    #[inline(always)]
    fn serialize_str(self, v: &str) -> Result<(), Halt> {
        self.quoted(v.as_bytes())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Halt> {
        self.open_text()?;
        put_display(value, |piece| self.escaped(piece))?;
        self.close_text()
    }

    /// Bytes that are JSON already.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Halt> {
        self.spliced = true;
        value.serialize(self)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Halt> {
        if self.spliced {
            return self.splice(v);
        }
        if self.spec.bytes_base64 { self.base64(v) } else { Err(Halt::Bytes) }
    }

    #[inline(always)]
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Halt> {
        self.open(b'[')?;
        Ok(Compound(self))
    }

    #[inline(always)]
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Halt> {
        self.open(b'{')?;
        Ok(Compound(self))
    }
}

impl CompoundFormat for JsonSerializer<'_> {
    #[inline(always)]
    fn before_key(&mut self) {
        self.key = true;
    }

    #[inline(always)]
    fn end_array(&mut self) -> Result<(), Halt> {
        self.close(b']')
    }

    #[inline(always)]
    fn end_map(&mut self) -> Result<(), Halt> {
        self.close(b'}')
    }
}
