//! Runs of code points of three bytes, as most of CJK text is, eight at once.
#![allow(unsafe_code)] // vector loads and stores

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

/// Code points decoded together.
pub(super) const EIGHT: usize = 8;

/// Decodes the code points of three bytes each that `text` begins with, some or all of them; tells how many.
///
/// # Safety
/// Units are two or four bytes wide, and `to` has room for one for each byte of `text` that begins a code point.
#[inline]
pub(super) unsafe fn write<U>(text: &[u8], to: *mut U) -> usize {
    #[cfg(target_arch = "x86_64")]
    if size_of::<U>() > 1
        && let [0xe0..=0xef, _, _, 0xe0..=0xef, ..] = text
        && is_x86_feature_detected!("sse4.1")
    {
        // SAFETY: the instructions are there; the caller's promise.
        return unsafe { vectors(text, to) };
    }
    let _ = (text, to);
    0
}

/// # Safety
/// As for [`write`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.1")]
unsafe fn vectors<U>(text: &[u8], to: *mut U) -> usize {
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
                arch::_mm_storeu_si128(to.add(done + EIGHT / 2).cast(), high);
            }
        }
        done += EIGHT;
    }
    done
}
