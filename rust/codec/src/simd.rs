//! Work on many bytes at once: finding the end of plain text, checking for ASCII, code points of three bytes.
#![allow(unsafe_code)] // vector loads and stores
#![expect(clippy::inline_always, reason = "most strings end in their first lane, and a call costs as much as that")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

/// Bytes looked at together.
pub(super) const LANE: usize = 16;

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
#[inline(always)]
pub(super) fn plain(text: &[u8], from: usize) -> Plain {
    if let Some(lane) = text.get(from..).and_then(<[u8]>::first_chunk)
        && let Some((count, ascii)) = end(&masks(lane))
    {
        return Plain { end: from + count, ascii };
    }
    plain_long(text, from)
}

/// How many bytes of a lane come before its first that is not plain, and whether they are ASCII.
#[inline(always)]
fn end(masks: &Masks) -> Option<(usize, bool)> {
    // The bits below the lowest one that is set.
    let before = masks.special.wrapping_sub(1) & !masks.special;
    (masks.special != 0).then(|| (masks.special.trailing_zeros() as usize, masks.high & before == 0))
}

#[inline(never)]
fn plain_long(text: &[u8], from: usize) -> Plain {
    let mut at = from;
    let mut high = 0;
    while let Some(lane) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let masks = masks(lane);
        if let Some((count, ascii)) = end(&masks) {
            return Plain { end: at + count, ascii: ascii && high == 0 };
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
        Masks { special: specials(bytes), high: arch::_mm_movemask_epi8(bytes).cast_unsigned() }
    }
}

/// One bit for each quote, backslash and control character of a lane.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn specials(bytes: arch::__m128i) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        let quote = arch::_mm_cmpeq_epi8(bytes, arch::_mm_set1_epi8(0x22));
        let slash = arch::_mm_cmpeq_epi8(bytes, arch::_mm_set1_epi8(0x5c));
        let control = arch::_mm_cmpeq_epi8(arch::_mm_min_epu8(bytes, arch::_mm_set1_epi8(0x1f)), bytes);
        let special = arch::_mm_or_si128(arch::_mm_or_si128(quote, slash), control);
        arch::_mm_movemask_epi8(special).cast_unsigned()
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

/// Code points decoded together.
pub(super) const POINTS: usize = 8;

/// Decodes the code points of three bytes each, as most of CJK text is, that `text` begins with, some or all of them; tells
/// how many.
///
/// # Safety
/// Units are two or four bytes wide, and `to` has room for one for each byte of `text` that begins a code point.
#[inline]
pub(super) unsafe fn three_byte_points<U>(text: &[u8], to: *mut U) -> usize {
    #[cfg(target_arch = "x86_64")]
    if size_of::<U>() > 1
        && let [0xe0..=0xef, _, _, 0xe0..=0xef, ..] = text
        && is_x86_feature_detected!("sse4.1")
    {
        // SAFETY: the instructions are there; the caller's promise.
        return unsafe { three_byte_vectors(text, to) };
    }
    let _ = (text, to);
    0
}

/// # Safety
/// As for [`three_byte_points`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.1")]
unsafe fn three_byte_vectors<U>(text: &[u8], to: *mut U) -> usize {
    /// Bytes of four code points, and of the two loads for eight.
    const FOUR: usize = 12;
    const LOADED: usize = FOUR + 16;
    let turned = arch::_mm_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1);
    let (marks, wanted) = (arch::_mm_set1_epi32(0x00f0_c0c0), arch::_mm_set1_epi32(0x00e0_8080));
    let (bits, by_byte) = (arch::_mm_set1_epi32(0x000f_3f3f), arch::_mm_set1_epi32(0x0010_4001));
    let by_pair = arch::_mm_set1_epi32(0x0100_0001);
    let (plane, surrogate) = (arch::_mm_set1_epi16(-0x800), arch::_mm_set1_epi16(-0x2800));
    let mut done = 0;
    while let Some(loaded) = text.get(3 * done..).and_then(<[u8]>::first_chunk::<LOADED>) {
        // SAFETY: both loads are inside what was just looked at; each of the eight code points found there has a unit.
        unsafe {
            let part = |at: usize| {
                let bytes = arch::_mm_loadu_si128(loaded.as_ptr().add(at).cast());
                let bytes = arch::_mm_shuffle_epi8(bytes, turned);
                let wrong = arch::_mm_xor_si128(arch::_mm_and_si128(bytes, marks), wanted);
                let halves = arch::_mm_maddubs_epi16(arch::_mm_and_si128(bytes, bits), by_byte);
                (arch::_mm_madd_epi16(halves, by_pair), wrong)
            };
            let ((low, wrong_low), (high, wrong_high)) = (part(0), part(FOUR));
            let points = arch::_mm_packus_epi32(low, high);
            let planes = arch::_mm_and_si128(points, plane);
            let short = arch::_mm_cmpeq_epi16(planes, arch::_mm_setzero_si128());
            let range = arch::_mm_or_si128(short, arch::_mm_cmpeq_epi16(planes, surrogate));
            let wrong = arch::_mm_or_si128(range, arch::_mm_or_si128(wrong_low, wrong_high));
            if arch::_mm_testz_si128(wrong, wrong) == 0 {
                break;
            }
            if size_of::<U>() == 2 {
                arch::_mm_storeu_si128(to.add(done).cast(), points);
            } else {
                arch::_mm_storeu_si128(to.add(done).cast(), low);
                arch::_mm_storeu_si128(to.add(done + POINTS / 2).cast(), high);
            }
        }
        done += POINTS;
    }
    done
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
    fn short_text_is_ascii_when_no_byte_has_its_high_bit() {
        let text: Vec<u8> = (0..40u32).map(|i| (i * 7 % 100) as u8).collect();
        for len in 0..40 {
            assert!(is_ascii(&text[..len]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!is_ascii(&other));
            }
        }
    }
}
