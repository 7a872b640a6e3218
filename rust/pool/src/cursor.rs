//! The writer's hot path: a bump pointer and one compare, together with the memory it walks over.
#![expect(unsafe_code, reason = "writes through a bump pointer")]
#![expect(
    clippy::inline_always,
    reason = "a put of a few bytes is cheaper than a call"
)]

use std::ptr::{self, NonNull};
use std::slice;

use bytes::Bytes;

use crate::buffer::PooledBuf;
use crate::leak::Sample;
use crate::ring::Leased;
use crate::segment::Segment;

/// The memory of a cursor.
#[derive(Debug)]
enum Home {
    Nowhere,
    /// The last `reserve` bytes are for [`Cursor::put_last`] only.
    Segment {
        leased: Leased,
        reserve: usize,
    },
    Large(PooledBuf),
}

/// Where the open frame grows: `frame <= at <= end`. In `home`, which the cursor owns, nobody else writes, and
/// nobody reads from `frame` on.
#[derive(Debug)]
pub(crate) struct Cursor {
    frame: *mut u8,
    at: *mut u8,
    end: *mut u8,
    home: Home,
}

// SAFETY: the pointers go into `home`, which may move between threads.
unsafe impl Send for Cursor {}

impl Cursor {
    /// A cursor with no room.
    pub(crate) fn nowhere() -> Self {
        let nowhere = NonNull::dangling().as_ptr();
        Self {
            frame: nowhere,
            at: nowhere,
            end: nowhere,
            home: Home::Nowhere,
        }
    }

    /// A cursor at the start of a segment that nobody reads.
    pub(crate) fn in_segment(leased: Leased, reserve: usize) -> Self {
        assert!(leased.segment.is_free() && reserve < leased.segment.capacity());
        let start = leased.segment.start().as_ptr();
        // SAFETY: inside the segment.
        let end = unsafe { start.add(leased.segment.capacity() - reserve) };
        Self {
            frame: start,
            at: start,
            end,
            home: Home::Segment { leased, reserve },
        }
    }

    /// A cursor at the start of an empty buffer.
    pub(crate) fn in_buffer(buffer: PooledBuf) -> Self {
        let start = buffer.start().as_ptr();
        // SAFETY: inside the buffer.
        let end = unsafe { start.add(buffer.capacity()) };
        Self {
            frame: start,
            at: start,
            end,
            home: Home::Large(buffer),
        }
    }

    /// The segment it walks over, if it does.
    pub(crate) fn segment(&self) -> Option<&Segment> {
        if let Home::Segment { leased, .. } = &self.home {
            Some(&leased.segment)
        } else {
            None
        }
    }

    /// The segment back.
    pub(crate) fn into_leased(self) -> Option<Leased> {
        if let Home::Segment { leased, .. } = self.home {
            Some(leased)
        } else {
            None
        }
    }

    /// The buffer back, with the open frame as its content.
    pub(crate) fn into_buffer(self) -> Option<PooledBuf> {
        let len = self.len();
        let Home::Large(mut buffer) = self.home else {
            return None;
        };
        buffer.advance(len);
        Some(buffer)
    }

    /// Capacity of the memory.
    pub(crate) fn capacity(&self) -> usize {
        match &self.home {
            Home::Nowhere => 0,
            Home::Segment { leased, .. } => leased.segment.capacity(),
            Home::Large(buffer) => buffer.capacity(),
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

    /// Bytes of a segment before the next one to be written; 0 elsewhere.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.segment()
            .map_or(0, |segment| self.at.addr() - segment.start().addr().get())
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

    /// Appends `bytes` if there is room.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len();
        if len > self.room() {
            return false;
        }
        // SAFETY: `len` bytes are free at `at`, and `bytes` cannot be part of memory that only the cursor uses.
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
        // SAFETY: the memory is initialised and only this cursor uses it.
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
        // SAFETY: `frame..at` was written by this cursor and is not sealed.
        unsafe { slice::from_raw_parts_mut(self.frame, self.len()) }
    }

    /// Appends what `bytes` yields and may use the reserve for it, if all `len` of them fit.
    pub(crate) fn put_last(&mut self, len: usize, bytes: impl Iterator<Item = u8>) -> bool {
        let Home::Segment { reserve, .. } = self.home else {
            return len == 0;
        };
        let usable = self.end;
        // SAFETY: the reserve lies between `end` and the segment's end, unless `end` is past its start already.
        let capacity = unsafe { self.limit().add(reserve) };
        if capacity.addr() - self.at.addr() < len {
            return false;
        }
        self.end = capacity;
        for (place, byte) in self.spare()[..len].iter_mut().zip(bytes) {
            *place = byte;
        }
        self.advance(len);
        self.end = if self.at.addr() > usable.addr() {
            self.at
        } else {
            usable
        };
        true
    }

    /// What was written from `from`, an offset, to the open frame.
    pub(crate) fn written(&self, from: usize) -> &[u8] {
        self.segment().map_or(&[], |segment| {
            segment.bytes(from, self.offset() - self.len())
        })
    }

    /// Makes the segment's bytes from `from`, an offset, to here immutable and shared. No frame is open.
    pub(crate) fn seal(&mut self, from: usize, sample: Option<Sample>) -> Bytes {
        let to = self.offset();
        self.frame = self.at;
        match &mut self.home {
            Home::Segment { leased, .. } => leased.segment.seal(from, to, sample),
            Home::Nowhere | Home::Large(_) => Bytes::new(),
        }
    }

    /// Starts a segment that nobody reads over, open frame first; false if it is read.
    pub(crate) fn restart(&mut self, zero: bool) -> bool {
        let len = self.len();
        let Home::Segment { leased, .. } = &mut self.home else {
            return false;
        };
        if !leased.segment.is_free() {
            return false;
        }
        leased.segment.reset();
        let start = leased.segment.start().as_ptr();
        // SAFETY: both ranges are inside the segment, which nobody reads; they may overlap.
        unsafe { ptr::copy(self.frame, start, len) };
        self.frame = start;
        // SAFETY: the frame was inside the segment, so it is at its start as well.
        self.at = unsafe { start.add(len) };
        self.end = self.limit();
        if zero {
            self.spare().fill(0);
        }
        true
    }

    /// End of what frames may use.
    fn limit(&self) -> *mut u8 {
        match &self.home {
            // SAFETY: inside the segment.
            Home::Segment { leased, reserve } => unsafe {
                leased
                    .segment
                    .start()
                    .as_ptr()
                    .add(leased.segment.capacity() - reserve)
            },
            Home::Nowhere | Home::Large(_) => self.end,
        }
    }
}
