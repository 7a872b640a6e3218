//! UTF-8 into a new `str`: measured, then decoded and checked in one pass.
#![allow(unsafe_code)] // writes the storage of a str that nothing else can see yet

use pyo3::{Python, ffi};

use crate::simd;

/// Bytes of text that are looked at together; as many fit a byte-wide counter.
const RUN: usize = 192;

/// What the storage of a text will be.
#[derive(Debug, Clone, Copy)]
pub(super) struct StrShape {
    /// Code points, if the text is UTF-8; never fewer than bytes that begin one.
    points: usize,
    /// The largest byte of all, which tells the widest code point.
    widest: u8,
}

impl StrShape {
    /// The shape of `text`, which holds a byte above 0x7f.
    pub(super) fn of(text: &[u8]) -> Self {
        let (mut points, mut widest) = (0, 0);
        for run in text.chunks(RUN) {
            let mut begun = 0u8;
            for &byte in run {
                begun += u8::from(byte.cast_signed() >= -64);
                widest = widest.max(byte);
            }
            points += usize::from(begun);
        }
        Self { points, widest }
    }

    /// Bytes of storage.
    pub(super) fn bytes(self) -> usize {
        self.points * self.width()
    }

    fn width(self) -> usize {
        match self.widest {
            ..=0xc3 => 1,
            0xc4..=0xef => 2,
            _ => 4,
        }
    }
}

/// A new `str` of `text`, which is not all ASCII; null with an exception set if there is no memory.
///
/// # Errors
/// The text is not UTF-8: how many bytes of it are.
pub(super) fn decode(_py: Python<'_>, text: &[u8], shape: StrShape) -> Result<*mut ffi::PyObject, usize> {
    let largest = match shape.width() {
        1 => 0xff,
        2 => 0xffff,
        _ => 0x0010_ffff,
    };
    // SAFETY: attached; the new str has room for `points` units, and `write` writes one for each byte that begins a code
    // point; nothing else can see the str before it is whole, and a broken one is released unseen.
    unsafe {
        let made = ffi::PyUnicode_New(shape.points.cast_signed(), largest);
        if made.is_null() {
            return Ok(made);
        }
        let storage = ffi::PyUnicode_DATA(made);
        let whole = match largest {
            0xff => write::<u8>(text, storage.cast()),
            0xffff => write::<u16>(text, storage.cast()),
            _ => write::<u32>(text, storage.cast()),
        };
        if whole {
            return Ok(made);
        }
        ffi::Py_DECREF(made);
    }
    Err(std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len))
}

/// A unit of storage.
trait Unit: Copy {
    fn of(point: u32) -> Self;
}

impl Unit for u8 {
    fn of(point: u32) -> Self {
        point as Self
    }
}

impl Unit for u16 {
    fn of(point: u32) -> Self {
        point as Self
    }
}

impl Unit for u32 {
    fn of(point: u32) -> Self {
        point
    }
}

/// The low bits of a byte that goes on with a code point, or a bit above all of them.
#[inline]
fn more(byte: u8) -> u32 {
    let bits = u32::from(byte ^ 0x80);
    if bits < 0x40 { bits } else { 1 << 31 }
}

/// Decodes `text` into `storage`; false if it is not UTF-8.
///
/// # Safety
/// `storage` takes a unit for each byte of `text` that begins a code point, and units are as wide as its widest.
unsafe fn write<U: Unit>(text: &[u8], storage: *mut U) -> bool {
    let (mut rest, mut to) = (text, storage);
    loop {
        while let Some((eight, after)) = rest.split_first_chunk::<8>()
            && u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080 == 0
        {
            for (index, &byte) in eight.iter().enumerate() {
                // SAFETY: eight bytes begin eight code points.
                unsafe { to.add(index).write(U::of(byte.into())) };
            }
            // SAFETY: as above; at most one past the end.
            to = unsafe { to.add(8) };
            rest = after;
        }
        // SAFETY: the caller's promise; units of one byte are left alone.
        let many = unsafe { simd::three_byte_points(rest, to) };
        // SAFETY: as above; at most one past the end.
        to = unsafe { to.add(many) };
        rest = &rest[3 * many..];
        for _ in 0..simd::POINTS {
            let [a @ 0xe0..=0xef, b, c, after @ ..] = rest else { break };
            let point = u32::from(a & 15) << 12 | more(*b) << 6 | more(*b) & 1 << 31 | more(*c);
            if !matches!(point, 0x800..0xd800 | 0xe000..0x1_0000) {
                return false;
            }
            // SAFETY: the first byte begins this code point.
            unsafe { to.write(U::of(point)) };
            // SAFETY: at most one past the end.
            to = unsafe { to.add(1) };
            rest = after;
        }
        let (point, after) = match rest {
            [] => return true,
            [0xe0..=0xef, _, _, ..] => continue,
            [a @ ..=0x7f, after @ ..] => (u32::from(*a), after),
            [a @ 0xc2..=0xdf, b, after @ ..] => (u32::from(a & 31) << 6 | more(*b), after),
            [a @ 0xf0..=0xf4, b, c, d, after @ ..] => {
                let broken = (more(*b) | more(*c) | more(*d)) & 1 << 31;
                let point = u32::from(a & 7) << 18 | more(*b) << 12 | more(*c) << 6 | more(*d);
                if point < 0x1_0000 {
                    return false;
                }
                (point | broken, after)
            }
            _ => return false,
        };
        if point > 0x0010_ffff {
            return false;
        }
        // SAFETY: the first byte begins this code point.
        unsafe { to.write(U::of(point)) };
        // SAFETY: at most one past the end.
        to = unsafe { to.add(1) };
        rest = after;
    }
}
