//! The writer's hot path: a bump pointer and one compare.
#![expect(unsafe_code, reason = "writes through a bump pointer")]
#![expect(
    clippy::inline_always,
    reason = "a put of a few bytes is cheaper than a call"
)]

use std::ptr::{self, NonNull};
use std::slice;

/// Where the open frame grows: `frame <= at <= end`, all in one region that only this cursor writes.
#[derive(Debug)]
pub(crate) struct Cursor {
    frame: *mut u8,
    at: *mut u8,
    end: *mut u8,
}

// SAFETY: the region belongs to the cursor's owner, which moves between threads as a whole.
unsafe impl Send for Cursor {}

impl Cursor {
    /// A cursor with no room.
    pub(crate) fn empty() -> Self {
        let nowhere = NonNull::dangling().as_ptr();
        Self {
            frame: nowhere,
            at: nowhere,
            end: nowhere,
        }
    }

    /// A cursor over `capacity` bytes from `start`, of which the open frame has `used`.
    ///
    /// # Safety
    /// The region is initialised memory, outlives the cursor's use, and nobody else reads or writes it meanwhile.
    pub(crate) unsafe fn new(start: NonNull<u8>, capacity: usize, used: usize) -> Self {
        debug_assert!(used <= capacity);
        let frame = start.as_ptr();
        // SAFETY: both offsets are inside the region.
        unsafe {
            Self {
                frame,
                at: frame.add(used),
                end: frame.add(capacity),
            }
        }
    }

    /// Bytes of the open frame.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at.addr() - self.frame.addr()
    }

    /// Bytes that can still be written.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.end.addr() - self.at.addr()
    }

    /// The next frame starts here.
    #[inline(always)]
    pub(crate) fn open(&mut self) {
        self.frame = self.at;
    }

    /// Back to the open frame's first byte.
    #[inline(always)]
    pub(crate) fn rewind(&mut self) {
        self.at = self.frame;
    }

    /// Address of the next byte, for offsets inside the region.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.at.addr()
    }

    /// Appends `bytes` if there is room.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len();
        if len > self.room() {
            return false;
        }
        // SAFETY: `len` bytes are free at `at`, and `bytes` cannot be part of a region that only the cursor uses.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.at, len);
            self.at = self.at.add(len);
        }
        true
    }

    /// Appends one byte if there is room.
    #[inline(always)]
    pub(crate) fn put_u8(&mut self, byte: u8) -> bool {
        if self.at == self.end {
            return false;
        }
        // SAFETY: one byte is free at `at`.
        unsafe {
            self.at.write(byte);
            self.at = self.at.add(1);
        }
        true
    }

    /// The free bytes.
    #[inline(always)]
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        // SAFETY: the region is initialised and only this cursor uses it.
        unsafe { slice::from_raw_parts_mut(self.at, self.room()) }
    }

    /// Takes `len` of the free bytes into the open frame.
    #[inline(always)]
    pub(crate) fn advance(&mut self, len: usize) {
        assert!(len <= self.room(), "advance past the room");
        // SAFETY: checked above.
        self.at = unsafe { self.at.add(len) };
    }

    /// The open frame.
    #[inline(always)]
    pub(crate) fn frame(&mut self) -> &mut [u8] {
        // SAFETY: `frame..at` was written by this cursor and is not sealed yet.
        unsafe { slice::from_raw_parts_mut(self.frame, self.len()) }
    }
}
