//! Questions about many bytes at once.
#![allow(unsafe_code)] // vector loads
#![expect(clippy::inline_always, reason = "most strings end in their first lane, and a call costs as much as that")]

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

/// Copies `text` to `to`; no call for short text.
///
/// # Safety
/// As many bytes can be written there, and the text lies elsewhere.
#[inline]
pub(super) unsafe fn copy(text: &[u8], to: *mut u8) {
    // SAFETY: the caller's promise; the lengths are those that each one takes.
    unsafe {
        match text.len() {
            4..8 => copy_ends::<4>(text, to),
            8..16 => copy_ends::<8>(text, to),
            16..=32 => copy_ends::<16>(text, to),
            len => std::ptr::copy_nonoverlapping(text.as_ptr(), to, len),
        }
    }
}

/// Copies the first and the last `N` bytes of a text of `N` to twice as many.
///
/// # Safety
/// As for [`copy`].
#[inline]
unsafe fn copy_ends<const N: usize>(text: &[u8], to: *mut u8) {
    if let (Some(head), Some(tail)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        // SAFETY: the caller's promise.
        unsafe {
            to.cast::<[u8; N]>().write(*head);
            to.add(text.len() - N).cast::<[u8; N]>().write(*tail);
        }
    }
}

/// Bytes that two words can hold.
pub(super) const WORDS: usize = 16;

/// Short text as two words: up to [`WORDS`] bytes all of it, so that texts of one length are equal if their words are; of
/// longer text its first and last bytes.
#[inline]
pub(super) fn words(text: &[u8]) -> [u64; 2] {
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return [u64::from_le_bytes(*head), u64::from_le_bytes(*tail)];
    }
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return [u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into()];
    }
    match *text {
        [first, .., last] => [u64::from(first) | u64::from(last) << 8, text[text.len() / 2].into()],
        [only] => [only.into(), 0],
        [] => [0; 2],
    }
}

/// A hash of [`words`] and the length of their text.
#[inline]
pub(super) fn mix([head, tail]: [u64; 2], len: usize) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = (head ^ len as u64).wrapping_mul(MULTIPLIER).rotate_left(29) ^ tail;
    let hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> 32
}

/// True if two texts are equal; no call, made for short ones.
#[inline]
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() || words(a) != words(b) {
        return false;
    }
    let (mut x, mut y) = (a, b);
    while let (Some((v, more_x)), Some((w, more_y))) = (x.split_first_chunk::<8>(), y.split_first_chunk::<8>()) {
        if v != w {
            return false;
        }
        (x, y) = (more_x, more_y);
    }
    true
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
            assert_eq!(words(&text[..len]), words(&text[..len]));
            assert!(is_ascii(&text[..len]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!equal(&text[..len], &other));
                assert!(len > WORDS || words(&text[..len]) != words(&other));
                assert!(!is_ascii(&other));
            }
        }
    }
}
