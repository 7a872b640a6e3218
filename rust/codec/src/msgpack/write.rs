//! The serializer of `MessagePack`, over the pool's writer.
#![expect(clippy::inline_always, reason = "the leaves of a container belong into its loop")]

use std::fmt;

use serde::{Serialize, Serializer};

use super::marker as m;
use super::write_integer::{IntegerForm, NEGATIVE, POSITIVE};
use crate::encode::arrays_and_maps::{Compound, CompoundFormat};
use crate::encode::frame_sink::{Halt, Sink, put_display};
use crate::encode::unused_serializer_methods::unsupported_methods;

/// Writes `MessagePack`, every integer and header in its shortest form.
#[derive(Debug)]
pub(crate) struct MsgpackSerializer<'w> {
    pub(crate) sink: Sink<'w>,
    /// What comes next is an array's element: the widths of integers there are hard to foresee.
    in_array: bool,
}

/// Bytes of the longest number.
const NUMBER: usize = 9;
/// Bytes of the longest header.
const HEADER: usize = 5;

impl<'w> MsgpackSerializer<'w> {
    pub(crate) fn new(sink: Sink<'w>) -> Self {
        Self { sink, in_array: false }
    }

    /// Without branches.
    #[inline(always)]
    fn integer(&mut self, form: IntegerForm, value: u64) -> Result<(), Halt> {
        self.sink.put_with::<NUMBER>(|room| {
            let IntegerForm { marker, own, bytes } = form;
            room[0] = marker | (value as u8 & own);
            let word = value << ((64 - 8 * u32::from(bytes)) & 63);
            room[1..].copy_from_slice(&word.to_be_bytes());
            1 + usize::from(bytes)
        })
    }

    /// An integer below 2^16, by branches: shapes of maps repeat, and so do the widths in them.
    #[inline(always)]
    fn short(&mut self, value: u64) -> Result<(), Halt> {
        if value < 128 {
            return self.sink.put_u8(value as u8);
        }
        self.sink.put_with::<3>(|room| {
            let [high, low] = (value as u16).to_be_bytes();
            *room = if high == 0 { [m::U8, low, 0] } else { [m::U16, high, low] };
            if high == 0 { 2 } else { 3 }
        })
    }

    #[inline(always)]
    fn headed(&mut self, header: Header, len: usize, payload: &[u8]) -> Result<(), Halt> {
        if len < header.short {
            return self.sink.put_after::<1>(payload, |room| {
                room[0] = header.fix | len as u8;
                1
            });
        }
        self.long_headed(header, len, payload)
    }

    #[inline(never)]
    fn long_headed(&mut self, header: Header, len: usize, payload: &[u8]) -> Result<(), Halt> {
        let Ok(long) = u32::try_from(len) else { return Err(Halt::TooLong) };
        self.sink.put_after::<HEADER>(payload, |room| match (header.m8, u8::try_from(len), u16::try_from(len)) {
            (Some(marker), Ok(len), _) => {
                room[..2].copy_from_slice(&[marker, len]);
                2
            }
            (_, _, Ok(len)) => {
                room[0] = header.m16;
                room[1..3].copy_from_slice(&len.to_be_bytes());
                3
            }
            _ => {
                room[0] = header.m32;
                room[1..].copy_from_slice(&long.to_be_bytes());
                HEADER
            }
        })
    }
}

/// The headers of one type, from the shortest on.
#[derive(Clone, Copy)]
struct Header {
    /// Marker that holds a length below `short`.
    fix: u8,
    short: usize,
    m8: Option<u8>,
    m16: u8,
    m32: u8,
}

const TEXT: Header = Header { fix: m::FIXSTR, short: 32, m8: Some(m::STR8), m16: m::STR16, m32: m::STR32 };
const BINARY: Header = Header { fix: 0, short: 0, m8: Some(m::BIN8), m16: m::BIN16, m32: m::BIN32 };
const ARRAY: Header = Header { fix: m::FIXARRAY, short: 16, m8: None, m16: m::ARRAY16, m32: m::ARRAY32 };
const MAP: Header = Header { fix: m::FIXMAP, short: 16, m8: None, m16: m::MAP16, m32: m::MAP32 };

/// A number that is written in decimal digits.
struct Decimal(usize);

impl fmt::Write for Decimal {
    fn write_str(&mut self, digits: &str) -> fmt::Result {
        for digit in digits.bytes() {
            self.0 = self.0 * 10 + usize::from(digit.wrapping_sub(b'0'));
        }
        Ok(())
    }
}

impl<'a, 'w> Serializer for &'a mut MsgpackSerializer<'w> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Compound<'a, MsgpackSerializer<'w>>;
    type SerializeMap = Compound<'a, MsgpackSerializer<'w>>;

    unsupported_methods!();

    #[inline(always)]
    fn serialize_unit(self) -> Result<(), Halt> {
        self.sink.put_u8(m::NIL)
    }

    #[inline(always)]
    fn serialize_bool(self, v: bool) -> Result<(), Halt> {
        self.sink.put_u8(if v { m::TRUE } else { m::FALSE })
    }

    #[inline(always)]
    fn serialize_i64(self, v: i64) -> Result<(), Halt> {
        if v < 0 {
            let bits = u64::BITS - v.cast_unsigned().leading_ones();
            return self.integer(NEGATIVE[bits as usize], v.cast_unsigned());
        }
        self.serialize_u64(v.cast_unsigned())
    }

    #[inline(always)]
    fn serialize_u64(self, v: u64) -> Result<(), Halt> {
        if !self.in_array && v < 1 << 16 {
            return self.short(v);
        }
        let bits = u64::BITS - v.leading_zeros();
        self.integer(POSITIVE[bits as usize], v)
    }

    #[inline(always)]
    fn serialize_f32(self, v: f32) -> Result<(), Halt> {
        self.sink.put_with::<5>(|room| {
            room[0] = m::F32;
            room[1..].copy_from_slice(&v.to_be_bytes());
            5
        })
    }

    #[inline(always)]
    fn serialize_f64(self, v: f64) -> Result<(), Halt> {
        self.sink.put_with::<NUMBER>(|room| {
            room[0] = m::F64;
            room[1..].copy_from_slice(&v.to_be_bytes());
            NUMBER
        })
    }

    #[inline(always)]
    fn serialize_str(self, v: &str) -> Result<(), Halt> {
        self.headed(TEXT, v.len(), v.as_bytes())
    }

    /// Text whose alternate form is its length in bytes.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Halt> {
        let mut len = Decimal(0);
        fmt::write(&mut len, format_args!("{value:#}")).map_err(|fmt::Error| Halt::Text)?;
        self.headed(TEXT, len.0, &[])?;
        self.sink.expect(len.0, len.0)?;
        put_display(value, |piece| self.sink.put(piece))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Halt> {
        Err(Halt::Unsupported)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Halt> {
        self.headed(BINARY, v.len(), v)
    }

    #[inline(always)]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, Halt> {
        self.headed(ARRAY, len.ok_or(Halt::Unsupported)?, &[])?;
        Ok(Compound(self))
    }

    #[inline(always)]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Halt> {
        self.headed(MAP, len.ok_or(Halt::Unsupported)?, &[])?;
        Ok(Compound(self))
    }
}

impl CompoundFormat for MsgpackSerializer<'_> {
    #[inline(always)]
    fn before_element(&mut self) {
        self.in_array = true;
    }

    #[inline(always)]
    fn before_key(&mut self) {
        self.in_array = false;
    }

    #[inline(always)]
    fn before_value(&mut self) {
        self.in_array = false;
    }
}
