//! Questions about many bytes at once.
#![allow(unsafe_code)] // vector loads

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

/// Bytes looked at together.
const LANE: usize = 16;

/// Where a JSON string stops being plain, and what lies before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    /// Offset of the first quote, backslash or control character; the length if there is none.
    pub(super) end: usize,
    /// All bytes before it are ASCII.
    pub(super) ascii: bool,
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Looks for the end of what is plain in `text` at or after `from`.
#[inline]
pub(super) fn plain(text: &[u8], from: usize) -> Plain {
    let mut at = from;
    let mut high = 0;
    while let Some(lane) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let masks = masks(lane);
        if masks.special != 0 {
            let count = masks.special.trailing_zeros();
            high |= masks.high & ((1 << count) - 1);
            return Plain { end: at + count as usize, ascii: high == 0 };
        }
        high |= masks.high;
        at += LANE;
    }
    while let Some(&byte) = text.get(at).filter(|byte| !is_special(**byte)) {
        high |= u32::from(byte & 0x80);
        at += 1;
    }
    Plain { end: at, ascii: high == 0 }
}

/// One bit for each byte of a lane.
struct Masks {
    special: u32,
    high: u32,
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn masks(lane: &[u8; LANE]) -> Masks {
    // SAFETY: SSE2 is part of x86-64; the unaligned load reads the sixteen bytes of the lane.
    unsafe {
        let bytes = arch::_mm_loadu_si128(lane.as_ptr().cast());
        let quote = arch::_mm_cmpeq_epi8(bytes, arch::_mm_set1_epi8(0x22));
        let slash = arch::_mm_cmpeq_epi8(bytes, arch::_mm_set1_epi8(0x5c));
        let control = arch::_mm_cmpeq_epi8(arch::_mm_min_epu8(bytes, arch::_mm_set1_epi8(0x1f)), bytes);
        let special = arch::_mm_or_si128(arch::_mm_or_si128(quote, slash), control);
        Masks {
            special: arch::_mm_movemask_epi8(special).cast_unsigned(),
            high: arch::_mm_movemask_epi8(bytes).cast_unsigned(),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn masks(lane: &[u8; LANE]) -> Masks {
    let any =
        lane.iter().fold((false, false), |(special, high), &byte| (special | is_special(byte), high | (byte >= 0x80)));
    let mut masks = Masks { special: 0, high: 0 };
    if any.0 || any.1 {
        for (index, &byte) in lane.iter().enumerate() {
            masks.special |= u32::from(is_special(byte)) << index;
            masks.high |= u32::from(byte >= 0x80) << index;
        }
    }
    masks
}

/// True if all of `text` is ASCII; made for short text.
#[inline]
pub(super) fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    if text.len() > 2 * LANE {
        return text.is_ascii();
    }
    let word = |at: usize| text.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word));
    match text.len() {
        0..8 => text.iter().fold(0, |all, byte| all | byte) < 0x80,
        len @ 8..=16 => (word(0) | word(len - 8)) & HIGH == 0,
        len => (word(0) | word(8) | word(len - 16) | word(len - 8)) & HIGH == 0,
    }
}

/// Up to eight bytes as one word, unequal for unequal bytes of one length.
#[inline]
fn short_word(text: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << 32;
    }
    match *text {
        [] => 0,
        [first, .., last] => u64::from(first) | u64::from(text[text.len() / 2]) << 8 | u64::from(last) << 16,
        [only] => only.into(),
    }
}

/// A hash of short text.
#[inline]
pub(super) fn hash(text: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    let mut hash = text.len() as u64;
    let mut rest = text;
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*word));
        rest = more;
    }
    let last = text.last_chunk::<8>().map_or_else(|| short_word(text), |word| u64::from_le_bytes(*word));
    let hash = mix(hash, last);
    hash ^ hash >> 32
}

/// True if two short texts are equal; no call for the common lengths.
#[inline]
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.len() < 8 {
        return short_word(a) == short_word(b);
    }
    let (mut x, mut y) = (a, b);
    while let (Some((v, more_x)), Some((w, more_y))) = (x.split_first_chunk::<8>(), y.split_first_chunk::<8>()) {
        if v != w {
            return false;
        }
        (x, y) = (more_x, more_y);
    }
    a.last_chunk::<8>() == b.last_chunk::<8>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_where_a_byte_by_byte_search_says() {
        for len in 0..50 {
            for at in 0..len {
                for byte in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    assert_eq!(plain(&text, 0), Plain { end: at, ascii: true });
                    text[at / 2] = if at == 0 { byte } else { 0xe9 };
                    assert_eq!(plain(&text, 0), Plain { end: at, ascii: at == 0 });
                }
            }
            assert_eq!(plain(&vec![0x7f; len], 0), Plain { end: len, ascii: true });
            assert_eq!(plain(&vec![0x20; len], len / 2).end, len);
        }
    }

    #[test]
    fn short_texts_are_equal_when_their_bytes_are() {
        let text: Vec<u8> = (0..40u32).map(|i| (i * 7 % 100) as u8).collect();
        for len in 0..40 {
            assert!(equal(&text[..len], &text[..len]));
            assert!(is_ascii(&text[..len]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!equal(&text[..len], &other));
                assert!(!is_ascii(&other));
            }
        }
    }
}
