//! The shortest form of each integer, by its number of bits.

use super::marker as m;

/// How an integer is written: the marker, which bits of the first byte are the value's, and how many bytes follow.
#[derive(Clone, Copy)]
pub(super) struct IntegerForm {
    pub(super) marker: u8,
    pub(super) own: u8,
    pub(super) bytes: u8,
}

const fn form(marker: u8, own: u8, bytes: u8) -> IntegerForm {
    IntegerForm { marker, own, bytes }
}

/// By the number of bits of a value that is not negative.
pub(super) const POSITIVE: [IntegerForm; 65] = {
    let mut table = [form(m::U64, 0, 8); 65];
    let mut bits = 0;
    while bits <= 32 {
        table[bits] = match bits {
            0..=7 => form(0, 0xff, 0),
            8 => form(m::U8, 0, 1),
            9..=16 => form(m::U16, 0, 2),
            _ => form(m::U32, 0, 4),
        };
        bits += 1;
    }
    table
};

/// By the number of bits of a negative value's complement.
pub(super) const NEGATIVE: [IntegerForm; 65] = {
    let mut table = [form(m::I64, 0, 8); 65];
    let mut bits = 0;
    while bits <= 31 {
        table[bits] = match bits {
            0..=5 => form(0, 0xff, 0),
            6..=7 => form(m::I8, 0, 1),
            8..=15 => form(m::I16, 0, 2),
            _ => form(m::I32, 0, 4),
        };
        bits += 1;
    }
    table
};
