//! The cursor of a writer: the bump pointer that frames grow by, and the memory that it owns.
#![expect(unsafe_code, reason = "writes through a bump pointer")]
#![expect(clippy::inline_always, reason = "a put of a few bytes is cheaper than a call")]

use std::ptr::{self, NonNull};
use std::slice;

use crate::batch::END_BYTES;
use crate::buffer::PooledBuf;
use crate::leak::Sample;
use crate::segment::{SealedRange, Segment};
use crate::segment_pool::Leased;
use crate::short_copy::short_copy;

/// The memory of a cursor.
#[derive(Debug)]
enum Backing {
    Nowhere,
    /// The last `reserve` bytes are for [`Cursor::put_ends`] only.
    Segment {
        leased: Leased,
        reserve: usize,
    },
    Large(PooledBuf),
    Scratch(Scratch),
}

/// Memory of the writer's own, which it keeps.
#[derive(Debug)]
struct Scratch(NonNull<[u8]>);

impl Scratch {
    fn new(len: usize) -> Self {
        Self(NonNull::from(Box::leak(vec![0; len].into_boxed_slice())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: `new` leaked the box; the cursor that has the memory goes with it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Where the open frame grows: `unsealed <= frame <= at <= end`. In `backing`, which the cursor owns, nobody else writes,
/// and nobody reads from `unsealed` on: sealed bytes lie before it.
#[derive(Debug)]
pub(crate) struct Cursor {
    unsealed: *mut u8,
    frame: *mut u8,
    at: *mut u8,
    end: *mut u8,
    backing: Backing,
}

// SAFETY: the pointers go into `backing`, which may move between threads.
unsafe impl Send for Cursor {}

impl Cursor {
    /// A cursor with no room.
    pub(crate) fn nowhere() -> Self {
        let nowhere = NonNull::dangling().as_ptr();
        Self { unsealed: nowhere, frame: nowhere, at: nowhere, end: nowhere, backing: Backing::Nowhere }
    }

    /// A cursor at the start of a segment that nobody reads.
    pub(crate) fn in_segment(leased: Leased, reserve: usize) -> Self {
        assert!(leased.segment.is_free() && reserve < leased.segment.capacity());
        let start = leased.segment.start().as_ptr();
        // SAFETY: inside the segment.
        let end = unsafe { start.add(leased.segment.capacity() - reserve) };
        Self { unsealed: start, frame: start, at: start, end, backing: Backing::Segment { leased, reserve } }
    }

    /// A cursor at the start of an empty buffer.
    pub(crate) fn in_buffer(buffer: PooledBuf) -> Self {
        let start = buffer.start().as_ptr();
        // SAFETY: inside the buffer.
        let end = unsafe { start.add(buffer.capacity()) };
        Self { unsealed: start, frame: start, at: start, end, backing: Backing::Large(buffer) }
    }

    /// A cursor at the start of `len` bytes of its own.
    pub(crate) fn in_scratch(len: usize) -> Self {
        let scratch = Scratch::new(len);
        let start = scratch.0.as_ptr().cast::<u8>();
        // SAFETY: inside the scratch.
        let end = unsafe { start.add(len) };
        Self { unsealed: start, frame: start, at: start, end, backing: Backing::Scratch(scratch) }
    }

    /// True at the first frame in memory of its own.
    #[inline]
    pub(crate) fn begins_scratch(&self) -> bool {
        if let Backing::Scratch(scratch) = &self.backing { scratch.0.as_ptr().cast() == self.frame } else { false }
    }

    /// The segment it walks over, if it does.
    pub(crate) fn segment(&self) -> Option<&Segment> {
        if let Backing::Segment { leased, .. } = &self.backing { Some(&leased.segment) } else { None }
    }

    /// The segment back.
    pub(crate) fn into_leased(self) -> Option<Leased> {
        if let Backing::Segment { leased, .. } = self.backing { Some(leased) } else { None }
    }

    /// The buffer back, with the open frame as its content.
    pub(crate) fn into_buffer(self) -> Option<PooledBuf> {
        let len = self.len();
        let Backing::Large(mut buffer) = self.backing else {
            return None;
        };
        buffer.advance(len);
        Some(buffer)
    }

    /// Capacity of the memory.
    pub(crate) fn capacity(&self) -> usize {
        match &self.backing {
            Backing::Nowhere => 0,
            Backing::Segment { leased, .. } => leased.segment.capacity(),
            Backing::Large(buffer) => buffer.capacity(),
            Backing::Scratch(scratch) => scratch.0.len(),
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

    /// Bytes since the last seal, the open frame included.
    #[inline(always)]
    pub(crate) fn unsealed_len(&self) -> usize {
        self.at.addr() - self.unsealed.addr()
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
        let at = self.at;
        // SAFETY: `len` bytes are free at `at`, and `bytes` cannot be part of memory that only the cursor uses.
        unsafe {
            short_copy(bytes.as_ptr(), at, len);
            self.at = at.add(len);
        }
        true
    }

    /// Appends what `write` puts at the start of `N` bytes, then `bytes`, if there is room for all of it; `write` returns
    /// how many of its bytes count.
    #[inline(always)]
    pub(crate) fn put_after<const N: usize>(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&mut [u8; N]) -> usize,
    ) -> bool {
        if self.room() < N || self.room() - N < bytes.len() {
            return false;
        }
        let at = self.at;
        // SAFETY: `N + bytes.len()` bytes are free and initialised at `at`, only this cursor uses them, and `bytes` is
        // not among them; at most `N` of the first ones count.
        unsafe {
            let head = write(&mut *at.cast::<[u8; N]>()).min(N);
            short_copy(bytes.as_ptr(), at.add(head), bytes.len());
            self.at = at.add(head + bytes.len());
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

    /// Appends what `write` puts at the start of `max` bytes, if there is room for all; it returns how many.
    #[inline(always)]
    pub(crate) fn put_with(&mut self, max: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if max > self.room() {
            return false;
        }
        let at = self.at;
        // SAFETY: `max` bytes are free and initialised at `at`, and only this cursor uses them.
        let len = write(unsafe { slice::from_raw_parts_mut(at, max) });
        assert!(len <= max, "put_with: wrote more than it asked for");
        // SAFETY: checked above.
        self.at = unsafe { at.add(len) };
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

    /// Appends `ends` behind the last frame, for which it may use the reserve, if all of them fit.
    pub(crate) fn put_ends(&mut self, ends: &[u32]) -> bool {
        let Backing::Segment { leased, .. } = &self.backing else {
            return false;
        };
        let capacity = leased.segment.start().addr().get() + leased.segment.capacity();
        let len = size_of_val(ends);
        if capacity - self.at.addr() < len {
            return false;
        }
        // SAFETY: checked to lie inside the segment, behind everything written, which only this cursor uses.
        let places = unsafe { slice::from_raw_parts_mut(self.at, len) };
        for (place, end) in places.chunks_exact_mut(END_BYTES).zip(ends) {
            place.copy_from_slice(&end.to_ne_bytes());
        }
        // SAFETY: as above.
        self.at = unsafe { self.at.add(len) };
        self.frame = self.at;
        self.end = if self.at > self.end { self.at } else { self.end };
        true
    }

    /// What was written since the last seal.
    pub(crate) fn unsealed(&self) -> &[u8] {
        // SAFETY: `unsealed..at` was written by this cursor, and writing needs `&mut self`.
        unsafe { slice::from_raw_parts(self.unsealed, self.unsealed_len()) }
    }

    /// Makes what was written since the last seal immutable and shared. No frame is open.
    /// `None` without a segment.
    pub(crate) fn seal(&mut self, sample: Option<Sample>) -> Option<SealedRange> {
        let len = self.unsealed_len();
        let Backing::Segment { leased, .. } = &mut self.backing else {
            return None;
        };
        let segment = &mut leased.segment;
        let from = self.unsealed.addr() - segment.start().addr().get();
        self.unsealed = self.at;
        self.frame = self.at;
        Some(segment.seal(from, from + len, sample))
    }

    /// Takes back what was written since the last seal.
    pub(crate) fn take_back(&mut self, zero: bool) {
        let len = self.unsealed_len();
        self.at = self.unsealed;
        self.frame = self.unsealed;
        if zero {
            self.spare()[..len].fill(0);
        }
    }

    /// Starts a segment that nobody reads over, open frame first; false if it is read.
    pub(crate) fn restart(&mut self, zero: bool) -> bool {
        let len = self.len();
        let Backing::Segment { leased, .. } = &mut self.backing else {
            return false;
        };
        if !leased.segment.is_free() {
            return false;
        }
        leased.segment.reset();
        let start = leased.segment.start().as_ptr();
        // SAFETY: both ranges are inside the segment, which nobody reads; they may overlap.
        unsafe { ptr::copy(self.frame, start, len) };
        (self.unsealed, self.frame) = (start, start);
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
        match &self.backing {
            // SAFETY: inside the segment.
            Backing::Segment { leased, reserve } => unsafe {
                leased.segment.start().as_ptr().add(leased.segment.capacity() - reserve)
            },
            Backing::Nowhere | Backing::Large(_) | Backing::Scratch(_) => self.end,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Puts `len` bytes behind a head of one byte, for which two have to be free.
    fn put_after(cursor: &mut Cursor, len: usize) -> bool {
        cursor.put_after::<2>(&vec![7; len], |head| {
            head[0] = 9;
            1
        })
    }

    #[test]
    fn a_head_and_its_bytes_are_put_where_there_is_room_for_all_of_them_or_not_at_all() {
        for (room, len, fits) in [(8, 6, true), (8, 7, false), (2, 0, true), (1, 0, false), (0, 0, false), (5, 0, true)]
        {
            let mut cursor = Cursor::in_scratch(room);
            assert_eq!(put_after(&mut cursor, len), fits, "{room} {len}");
            let expected = if fits { [vec![9], vec![7; len]].concat() } else { vec![] };
            assert_eq!(cursor.frame(), expected);
        }
    }

    #[test]
    fn only_the_first_frame_in_memory_of_its_own_begins_there() {
        let mut cursor = Cursor::in_scratch(8);
        assert!(cursor.begins_scratch() && cursor.put(b"one") && cursor.begins_scratch());
        cursor.open();
        assert!(!cursor.begins_scratch());
        cursor.take_back(false);
        assert!(cursor.begins_scratch() && !Cursor::nowhere().begins_scratch());
    }
}
