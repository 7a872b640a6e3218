//! The shortest form of each integer.

use super::marker as m;

/// How an integer is written: the marker, which bits of the first byte are the value's, and how many bytes follow.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) marker: u8,
    pub(super) own: u8,
    pub(super) bytes: u8,
}

const fn shape(marker: u8, own: u8, bytes: u8) -> Shape {
    Shape { marker, own, bytes }
}

/// By the number of bits of a value that is not negative.
pub(super) const POSITIVE: [Shape; 65] = {
    let mut table = [shape(m::U64, 0, 8); 65];
    let mut bits = 0;
    while bits <= 32 {
        table[bits] = match bits {
            0..=7 => shape(0, 0xff, 0),
            8 => shape(m::U8, 0, 1),
            9..=16 => shape(m::U16, 0, 2),
            _ => shape(m::U32, 0, 4),
        };
        bits += 1;
    }
    table
};

/// By the number of bits of a negative value's complement.
pub(super) const NEGATIVE: [Shape; 65] = {
    let mut table = [shape(m::I64, 0, 8); 65];
    let mut bits = 0;
    while bits <= 31 {
        table[bits] = match bits {
            0..=5 => shape(0, 0xff, 0),
            6..=7 => shape(m::I8, 0, 1),
            8..=15 => shape(m::I16, 0, 2),
            _ => shape(m::I32, 0, 4),
        };
        bits += 1;
    }
    table
};
