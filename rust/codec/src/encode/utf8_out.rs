//! UTF-8 of strings that are stored in one, two or four bytes for each code point.
#![allow(unsafe_code)] // writes code points into a block without looking at its end each time

use std::ops::Range;

use crate::py::str_layout::Text;

/// Text holds what no encoding of Unicode can: a surrogate, or a number above all code points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surrogate;

/// Code points transcoded at a time.
pub(crate) const BLOCK: usize = 256;

/// Bytes of the longest code point; each is written as a whole word.
const LONGEST: usize = 4;

/// UTF-8 of up to [`BLOCK`] code points.
pub(crate) struct Block([u8; BLOCK * LONGEST]);

impl Block {
    pub(crate) fn new() -> Self {
        Self([0; BLOCK * LONGEST])
    }

    /// The text of a range of code points, which is at most [`BLOCK`] long.
    pub(crate) fn fill(&mut self, text: &Text<'_>, range: Range<usize>) -> Result<&str, Surrogate> {
        assert!(range.len() <= BLOCK, "more than a block");
        let start = self.0.as_mut_ptr();
        // SAFETY: the block has room for the longest form of each code point of the range.
        let end = unsafe {
            match text {
                Text::Utf8(text) => {
                    std::ptr::copy_nonoverlapping(text.as_bytes()[range.clone()].as_ptr(), start, range.len());
                    start.add(range.len())
                }
                Text::Latin1(points) => write(points[range].iter().map(|&point| point.into()), start)?,
                Text::Ucs2(points) => write(points[range].iter().map(|&point| point.into()), start)?,
                Text::Ucs4(points) => write(points[range].iter().copied(), start)?,
            }
        };
        // SAFETY: what lies before `end` was written as UTF-8.
        unsafe { Ok(std::str::from_utf8_unchecked(&self.0[..end.offset_from_unsigned(start)])) }
    }
}

/// Writes code points as UTF-8; returns where they end.
///
/// # Safety
/// `LONGEST` bytes for each point can be written at `to`.
#[inline]
unsafe fn write(points: impl Iterator<Item = u32>, mut to: *mut u8) -> Result<*mut u8, Surrogate> {
    for point in points {
        // The bytes from the first on, as a little-endian word.
        let (word, len) = match point {
            0..0x80 => (point, 1),
            0x80..0x800 => (0x80c0 | point >> 6 | (point & 0x3f) << 8, 2),
            0xd800..0xe000 | 0x11_0000.. => return Err(Surrogate),
            0x800..0x1_0000 => (0x0080_80e0 | point >> 12 | (point >> 6 & 0x3f) << 8 | (point & 0x3f) << 16, 3),
            0x1_0000.. => {
                let tail = (point >> 12 & 0x3f) << 8 | (point >> 6 & 0x3f) << 16 | (point & 0x3f) << 24;
                (0x8080_80f0 | point >> 18 | tail, 4)
            }
        };
        // SAFETY: the caller's promise.
        unsafe {
            to.cast::<[u8; LONGEST]>().write(word.to_le_bytes());
            to = to.add(len);
        }
    }
    Ok(to)
}

/// The text with each surrogate replaced, for messages.
pub(crate) fn lossy(text: &Text<'_>) -> String {
    let replaced = |point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    match text {
        Text::Utf8(text) => (*text).to_owned(),
        Text::Latin1(points) => points.iter().map(|&point| char::from(point)).collect(),
        Text::Ucs2(points) => points.iter().map(|&point| replaced(point.into())).collect(),
        Text::Ucs4(points) => points.iter().map(|&point| replaced(point)).collect(),
    }
}

impl Text<'_> {
    /// Code points; bytes where the storage is UTF-8.
    pub(crate) fn points(&self) -> usize {
        match self {
            Self::Utf8(text) => text.len(),
            Self::Latin1(points) => points.len(),
            Self::Ucs2(points) => points.len(),
            Self::Ucs4(points) => points.len(),
        }
    }

    /// Gives the text as UTF-8 to `put`, a block at a time; where it holds a surrogate, the error is that of `surrogate`.
    pub(crate) fn for_each_block<E>(
        &self,
        surrogate: impl Fn() -> E,
        mut put: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut block = Block::new();
        let mut start = 0;
        while start < self.points() {
            let end = self.points().min(start + BLOCK);
            put(block.fill(self, start..end).map_err(|Surrogate| surrogate())?)?;
            start = end;
        }
        Ok(())
    }

    /// What is said of text that holds a surrogate.
    #[cold]
    pub(crate) fn surrogate_reason(&self) -> String {
        let found = match self {
            Self::Utf8(_) | Self::Latin1(_) => None,
            Self::Ucs2(points) => first_surrogate(points.iter().map(|&point| point.into())),
            Self::Ucs4(points) => first_surrogate(points.iter().copied()),
        };
        let (index, point) = found.unwrap_or_default();
        format!("str holds the lone surrogate U+{point:04X} at index {index}, which UTF-8 cannot hold")
    }

    /// Bytes as UTF-8.
    pub(crate) fn utf8_len(&self) -> usize {
        match self {
            Self::Utf8(text) => text.len(),
            Self::Latin1(points) => points.iter().map(|&point| 1 + usize::from(point >> 7)).sum(),
            Self::Ucs2(points) => long_sum(points, |&point| 1 + u32::from(point >= 0x80) + u32::from(point >= 0x800)),
            Self::Ucs4(points) => long_sum(points, |&point| {
                1 + u32::from(point >= 0x80) + u32::from(point >= 0x800) + u32::from(point >= 0x1_0000)
            }),
        }
    }
}

fn first_surrogate(points: impl Iterator<Item = u32>) -> Option<(usize, u32)> {
    points.enumerate().find(|&(_, point)| char::from_u32(point).is_none())
}

/// A sum in narrow steps, which the compiler makes vectors of.
fn long_sum<T>(points: &[T], len: impl Fn(&T) -> u32) -> usize {
    points.chunks(1 << 16).map(|chunk| chunk.iter().map(&len).sum::<u32>() as usize).sum()
}
