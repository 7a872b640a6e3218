//! An iterative reader: its stack is on the heap and as deep as the limit says.

use super::marker as m;
use crate::codec::events::{Budget, Fault, Receiver, invalid};

/// A container whose end has not come yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Values to come.
    left: usize,
    len: usize,
    map: bool,
}

/// Reads one message, a stretch at a time.
#[derive(Debug)]
pub(in crate::codec) struct Reader {
    at: usize,
    open: Vec<Open>,
    /// Values and keys that headers have announced and that have not come yet; each needs a byte at least.
    due: usize,
    budget: Budget,
}

impl Reader {
    pub(in crate::codec) fn new(budget: Budget) -> Self {
        Self {
            at: 0,
            open: Vec::new(),
            due: 1,
            budget,
        }
    }

    /// Offset of the next byte.
    pub(in crate::codec) fn offset(&self) -> usize {
        self.at
    }

    /// Reads on until the message ends (true) or the offset passes `pause` (false).
    pub(in crate::codec) fn run(
        &mut self,
        input: &[u8],
        pause: usize,
        to: &mut impl Receiver,
    ) -> Result<bool, Fault> {
        if self.at == 0 {
            self.budget.nodes(1, 0)?;
        }
        loop {
            if self.at >= pause && self.at < input.len() {
                return Ok(false);
            }
            if self.value(input, to)? {
                continue;
            }
            loop {
                let Some(top) = self.open.last_mut() else {
                    return if self.at == input.len() {
                        Ok(true)
                    } else {
                        Err(invalid(self.at, "trailing bytes"))
                    };
                };
                if top.left > 0 {
                    top.left -= 1;
                    if top.map {
                        self.key(input, to)?;
                    }
                    break;
                }
                let Open { len, map, .. } = *top;
                self.open.pop();
                if map {
                    to.map(len, self.at)?;
                } else {
                    to.array(len)?;
                }
            }
        }
    }

    /// Reads one value; true if it is a container that has just opened and its first value is next.
    #[inline]
    fn value(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<bool, Fault> {
        let marker = self.byte(input)?;
        self.due -= 1;
        match marker {
            0..=0x7f => to.signed(marker.into())?,
            0xe0.. => to.signed(marker.cast_signed().into())?,
            m::FIXMAP..m::FIXARRAY => return self.open(input, (marker & 15).into(), true, to),
            m::FIXARRAY..m::FIXSTR => return self.open(input, (marker & 15).into(), false, to),
            m::FIXSTR..m::NIL => self.text(input, (marker & 31).into(), to)?,
            m::NIL => to.null()?,
            m::FALSE => to.bool(false)?,
            m::TRUE => to.bool(true)?,
            m::F32 => to.float(f32::from_be_bytes(self.array(input)?).into())?,
            m::F64 => to.float(f64::from_be_bytes(self.array(input)?))?,
            m::U8..=m::I64 => self.integer(marker, input, to)?,
            m::STR8..=m::STR32 => {
                let len = self.length(marker - m::STR8, input)?;
                self.text(input, len, to)?;
            }
            m::BIN8..=m::BIN32 => {
                let len = self.length(marker - m::BIN8, input)?;
                to.bytes(self.take(input, len)?)?;
            }
            m::ARRAY16 | m::ARRAY32 => {
                let len = self.length(marker - m::ARRAY16 + 1, input)?;
                return self.open(input, len, false, to);
            }
            m::MAP16 | m::MAP32 => {
                let len = self.length(marker - m::MAP16 + 1, input)?;
                return self.open(input, len, true, to);
            }
            _ => return Err(self.unknown(marker)),
        }
        Ok(false)
    }

    #[inline]
    fn open(
        &mut self,
        input: &[u8],
        len: usize,
        map: bool,
        to: &mut impl Receiver,
    ) -> Result<bool, Fault> {
        self.budget.depth(self.open.len() + 1, self.at - 1)?;
        self.due += if map { 2 * len } else { len };
        if self.due > input.len() - self.at {
            return Err(invalid(
                self.at,
                "truncated: more values announced than bytes are left",
            ));
        }
        self.budget.nodes(len, self.at)?;
        if len == 0 {
            if map {
                to.map(0, self.at)?;
            } else {
                to.array(0)?;
            }
            return Ok(false);
        }
        self.open.push(Open {
            left: len - 1,
            len,
            map,
        });
        if map {
            self.key(input, to)?;
        }
        Ok(true)
    }

    #[inline]
    fn key(&mut self, input: &[u8], to: &mut impl Receiver) -> Result<(), Fault> {
        let marker = self.byte(input)?;
        self.due -= 1;
        let len = match marker {
            m::FIXSTR..m::NIL => (marker & 31).into(),
            m::STR8..=m::STR32 => self.length(marker - m::STR8, input)?,
            _ => return self.other_key(marker, input, to),
        };
        let offset = self.at;
        to.key(self.take(input, len)?, offset)
    }

    #[cold]
    fn other_key(&mut self, marker: u8, input: &[u8], to: &mut impl Receiver) -> Result<(), Fault> {
        let at = self.at - 1;
        match marker {
            _ if !self.budget.any_keys => Err(invalid(at, "a key that is not a string")),
            0..=0x7f => to.signed(marker.into()),
            0xe0.. => to.signed(marker.cast_signed().into()),
            m::U8..=m::I64 => self.integer(marker, input, to),
            m::BIN8..=m::BIN32 => {
                let len = self.length(marker - m::BIN8, input)?;
                to.bytes(self.take(input, len)?)
            }
            _ => Err(invalid(
                at,
                "a key that is neither string, integer nor bytes",
            )),
        }
    }

    fn integer(&mut self, marker: u8, input: &[u8], to: &mut impl Receiver) -> Result<(), Fault> {
        match marker {
            m::U8 => to.signed(u8::from_be_bytes(self.array(input)?).into()),
            m::U16 => to.signed(u16::from_be_bytes(self.array(input)?).into()),
            m::U32 => to.signed(u32::from_be_bytes(self.array(input)?).into()),
            m::U64 => to.unsigned(u64::from_be_bytes(self.array(input)?)),
            m::I8 => to.signed(i8::from_be_bytes(self.array(input)?).into()),
            m::I16 => to.signed(i16::from_be_bytes(self.array(input)?).into()),
            m::I32 => to.signed(i32::from_be_bytes(self.array(input)?).into()),
            _ => to.signed(i64::from_be_bytes(self.array(input)?)),
        }
    }

    #[inline]
    fn text(&mut self, input: &[u8], len: usize, to: &mut impl Receiver) -> Result<(), Fault> {
        let offset = self.at;
        to.text(self.take(input, len)?, offset)
    }

    /// A length of one, two or four bytes, for 0, 1 or 2.
    #[inline]
    fn length(&mut self, width: u8, input: &[u8]) -> Result<usize, Fault> {
        Ok(match width {
            0 => self.byte(input)?.into(),
            1 => u16::from_be_bytes(self.array(input)?).into(),
            _ => u32::from_be_bytes(self.array(input)?) as usize,
        })
    }

    #[inline]
    fn byte(&mut self, input: &[u8]) -> Result<u8, Fault> {
        let Some(&byte) = input.get(self.at) else {
            return Err(truncated(input));
        };
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self, input: &[u8]) -> Result<[u8; N], Fault> {
        let Some(bytes) = input[self.at..].first_chunk() else {
            return Err(truncated(input));
        };
        self.at += N;
        Ok(*bytes)
    }

    #[inline]
    fn take<'i>(&mut self, input: &'i [u8], len: usize) -> Result<&'i [u8], Fault> {
        let Some(bytes) = input[self.at..].get(..len) else {
            return Err(truncated(input));
        };
        self.at += len;
        Ok(bytes)
    }

    #[cold]
    fn unknown(&self, marker: u8) -> Fault {
        let what = if marker == 0xc1 {
            "the reserved marker"
        } else {
            "an extension type"
        };
        invalid(self.at - 1, format!("{what} 0x{marker:02x}"))
    }
}

#[cold]
fn truncated(input: &[u8]) -> Fault {
    invalid(input.len(), "truncated")
}
