//! JSON strings, written with their escapes.
#![allow(unsafe_code)] // stores whole lanes and words into room that was checked once

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

use crate::simd::LANE;
#[cfg(target_arch = "x86_64")]
use crate::simd::specials;

/// Bytes of text that are written after one check of the room.
pub(super) const BLOCK: usize = 4096;

/// Bytes of the longest escape, `\u001f`.
const LONGEST: usize = 6;

/// Room that `len` bytes of text may need, and that whole lanes may touch.
#[inline]
pub(super) const fn room_for(len: usize) -> usize {
    len * LONGEST + LANE
}

pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

/// What stands for a byte below 0x60; the last of the eight is its length, 0 for what stands for itself.
const ESCAPES: [[u8; 8]; 0x60] = {
    let mut table = [[0; 8]; 0x60];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = [b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15], 0, 6];
        byte += 1;
    }
    let short = [(8, b'b'), (9, b't'), (10, b'n'), (12, b'f'), (13, b'r'), (b'"' as usize, b'"'), (0x5c, b'\\')];
    let mut index = 0;
    while index < short.len() {
        table[short[index].0] = [b'\\', short[index].1, 0, 0, 0, 0, 0, 2];
        index += 1;
    }
    table
};

/// Writes `text` with its escapes to the start of `room`; returns how many bytes.
///
/// # Panics
/// `room` is shorter than [`room_for`] says.
#[inline]
pub(super) fn write(text: &[u8], room: &mut [u8]) -> usize {
    assert!(room.len() >= room_for(text.len()), "too little room");
    let start = room.as_mut_ptr();
    // SAFETY: each byte of text gives at most `LONGEST` bytes; a lane or word that is stored ends at most `LANE` bytes
    // after the last byte that counts, which is inside the room; loads stay inside the text.
    unsafe {
        let end = if text.len() < LANE { short(text.as_ptr(), text.len(), start) } else { lanes(text, start) };
        end.offset_from_unsigned(start)
    }
}

/// # Safety
/// As in [`write`]; `text` is at least a lane.
#[inline(never)]
unsafe fn lanes(text: &[u8], start: *mut u8) -> *mut u8 {
    let (mut from, mut to, mut left) = (text.as_ptr(), start, text.len());
    // SAFETY: the caller's promise.
    unsafe {
        while left >= LANE {
            let special = copy_lane(from, to);
            if special == 0 {
                (from, to, left) = (from.add(LANE), to.add(LANE), left - LANE);
                continue;
            }
            let plain = special.trailing_zeros() as usize;
            to = escape(*from.add(plain), to.add(plain));
            (from, left) = (from.add(plain + 1), left - plain - 1);
        }
        short(from, left, to)
    }
}

/// Writes less than a lane.
///
/// # Safety
/// As in [`write`].
#[inline]
unsafe fn short(from: *const u8, len: usize, to: *mut u8) -> *mut u8 {
    // SAFETY: the caller's promise; two words that overlap cover a length between one and two words.
    unsafe {
        if len >= 8 {
            let (head, tail) = (from.cast::<u64>().read_unaligned(), from.add(len - 8).cast::<u64>().read_unaligned());
            if !is_special(head, tail) {
                to.cast::<u64>().write_unaligned(head);
                to.add(len - 8).cast::<u64>().write_unaligned(tail);
                return to.add(len);
            }
        } else if len >= 4 {
            let (head, tail) = (from.cast::<u32>().read_unaligned(), from.add(len - 4).cast::<u32>().read_unaligned());
            let word = u64::from(head) | u64::from(tail) << 32;
            if !is_special(word, word) {
                to.cast::<u32>().write_unaligned(head);
                to.add(len - 4).cast::<u32>().write_unaligned(tail);
                return to.add(len);
            }
        }
        bytes(from, len, to)
    }
}

/// # Safety
/// As in [`write`].
#[inline]
unsafe fn bytes(from: *const u8, len: usize, mut to: *mut u8) -> *mut u8 {
    for index in 0..len {
        // SAFETY: the caller's promise.
        unsafe { to = escape(*from.add(index), to) };
    }
    to
}

/// # Safety
/// Eight bytes can be written at `to`.
#[inline]
unsafe fn escape(byte: u8, to: *mut u8) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        match ESCAPES.get(usize::from(byte)) {
            Some(escape) if escape[7] != 0 => {
                to.cast::<[u8; 8]>().write(*escape);
                to.add(usize::from(escape[7]))
            }
            _ => {
                to.write(byte);
                to.add(1)
            }
        }
    }
}

/// True if a byte of two words needs an escape.
#[cfg(target_arch = "x86_64")]
#[inline]
fn is_special(head: u64, tail: u64) -> bool {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { specials(arch::_mm_set_epi64x(tail.cast_signed(), head.cast_signed())) != 0 }
}

/// As above, for machines without those instructions.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
const fn is_special(head: u64, tail: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const fn marks(word: u64) -> u64 {
        let control = word.wrapping_sub(0x20 * ONES) & !word;
        let quote = word ^ (0x22 * ONES);
        let slash = word ^ (0x5c * ONES);
        control | quote.wrapping_sub(ONES) & !quote | slash.wrapping_sub(ONES) & !slash
    }
    (marks(head) | marks(tail)) & (0x80 * ONES) != 0
}

/// Copies a lane; one bit for each byte of it that needs an escape.
///
/// # Safety
/// A lane can be read at `from` and written at `to`.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_lane(from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: SSE2 is part of x86-64; the caller's promise.
    unsafe {
        let bytes = arch::_mm_loadu_si128(from.cast());
        arch::_mm_storeu_si128(to.cast(), bytes);
        specials(bytes)
    }
}

/// As above, for machines without those instructions.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn copy_lane(from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: the caller's promise.
    let lane = unsafe { from.cast::<[u8; LANE]>().read() };
    // SAFETY: the caller's promise.
    unsafe { to.cast::<[u8; LANE]>().write(lane) };
    let [head, tail] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|index| lane[at + index])));
    if !is_special(head, tail) {
        return 0;
    }
    lane.iter().enumerate().fold(0, |mask, (index, &byte)| {
        mask | u32::from(ESCAPES.get(usize::from(byte)).is_some_and(|escape| escape[7] != 0)) << index
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut room = vec![0xa5; room_for(text.len())];
        let len = write(text, &mut room);
        room.truncate(len);
        room
    }

    /// Byte by byte, as the standard says it.
    fn expected(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in text {
            match byte {
                b'"' | b'\\' => out.extend([b'\\', byte]),
                b'\n' => out.extend(b"\\n"),
                b'\r' => out.extend(b"\\r"),
                b'\t' => out.extend(b"\\t"),
                8 => out.extend(b"\\b"),
                12 => out.extend(b"\\f"),
                0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
                _ => out.push(byte),
            }
        }
        out
    }

    #[test]
    fn every_byte_at_every_place_is_escaped_as_the_standard_says() {
        for len in 0..70 {
            assert_eq!(written(&vec![b'x'; len]), vec![b'x'; len]);
            for at in 0..len {
                for byte in 0..=255 {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    text[len - 1 - at / 2] = byte;
                    assert_eq!(written(&text), expected(&text), "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn text_of_escapes_alone_fits_its_room() {
        for len in [0, 1, 7, 8, 15, 16, 17, 63, BLOCK] {
            for byte in [0, b'"', b'\\', 0x1f] {
                assert_eq!(written(&vec![byte; len]), expected(&vec![byte; len]));
            }
        }
    }
}
