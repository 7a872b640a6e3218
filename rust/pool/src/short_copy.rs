//! Copies of few bytes without a call.
#![expect(unsafe_code, reason = "copies between pointers")]
#![expect(clippy::inline_always, reason = "a copy of a few bytes is cheaper than a call")]

use std::ptr;

/// Copies `len` bytes; short ones, which are most, without a call: two words that overlap in the middle.
///
/// # Safety
/// As for [`ptr::copy_nonoverlapping`].
#[inline(always)]
pub unsafe fn short_copy(from: *const u8, to: *mut u8, len: usize) {
    /// Copies `N..=2 * N` bytes.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller has at least `N` bytes on both sides, which do not overlap.
        unsafe {
            let (head, tail) = (from.cast::<[u8; N]>().read(), from.add(len - N).cast::<[u8; N]>().read());
            to.cast::<[u8; N]>().write(head);
            to.add(len - N).cast::<[u8; N]>().write(tail);
        }
    }
    // SAFETY: the caller's promise, and each arm's length.
    unsafe {
        match len {
            0 => {}
            1 => to.write(from.read()),
            2..=3 => ends::<2>(from, to, len),
            4..=7 => ends::<4>(from, to, len),
            8..=16 => ends::<8>(from, to, len),
            17..=32 => ends::<16>(from, to, len),
            _ => ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_are_copied_as_were_asked_for_and_no_other_is_touched() {
        let from: Vec<u8> = (1..=70).collect();
        for len in 0..=from.len() {
            let mut to = vec![0; 72];
            // SAFETY: both have `len` bytes, in memory of their own.
            unsafe { short_copy(from.as_ptr(), to.as_mut_ptr().add(1), len) };
            assert_eq!((to[0], &to[1..=len]), (0, &from[..len]), "{len}");
            assert!(to[1 + len..].iter().all(|&byte| byte == 0), "{len}");
        }
    }
}
