//! `Writer`: the producing thread's half of a pool. Frames are written in place and sealed together.
#![expect(clippy::inline_always, reason = "a put of a few bytes is cheaper than a call")]

use std::io;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::batch::{Batch, END_BYTES, needs_trailer};
use crate::buffer::PooledBuf;
use crate::cursor::Cursor;
use crate::leak::{LeaseWatch, Sample, is_watched};
use crate::pool::Pool;
use crate::pool_state::PoolState;
use crate::segment::Segment;
use crate::size_classes::{FIRST_GUESS, LARGEST_CLASS, SMALLEST_CLASS, grown};

/// Largest frame that shares a segment with others when it has to move.
const SHARING_LIMIT: usize = 32 << 10;

/// Kept free at a segment's end for the frame ends of its last batch: 64 frames.
const TRAILER_BYTES: usize = 64 * END_BYTES;

/// Frame ends kept allocated between batches.
const ENDS_KEPT: usize = 1024;

/// A committed frame may have a buffer of this many times its length; beyond it moves to a smaller class.
const MAX_SLACK: usize = 4;

/// Writes frames; owned by one thread.
///
/// `begin`, any number of `put`s, then `commit` or `abort` make one frame; `seal` takes the committed frames.
#[derive(Debug)]
pub struct Writer {
    cursor: Cursor,
    ends: Vec<u32>,
    /// The cursor in the segment, while `cursor` is in a large buffer because the open frame outgrew segments.
    suspended: Option<Cursor>,
    done: SmallVec<[Batch; 2]>,
    last_large: usize,
    epoch: Option<usize>,
    stream: u64,
    leases: u32,
    pool: Pool,
}

impl Writer {
    /// `scratch`: bytes of its own that it begins in, none if 0.
    pub(crate) fn new(pool: Pool, scratch: usize) -> Self {
        Self {
            cursor: if scratch == 0 { Cursor::nowhere() } else { Cursor::in_scratch(scratch) },
            ends: Vec::new(),
            suspended: None,
            done: SmallVec::new(),
            last_large: 0,
            epoch: None,
            stream: 0,
            leases: 0,
            pool,
        }
    }

    /// The pool this writer takes memory from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Names the stream that the next batches belong to, for reports of leaked leases.
    pub fn set_stream(&mut self, stream: u64) {
        self.stream = stream;
    }

    /// Opens a frame. `hint`: bytes expected, 0 if unknown; a wrong one costs at most a copy.
    #[inline]
    pub fn begin(&mut self, hint: usize) {
        debug_assert!(self.suspended.is_none(), "begin inside a frame");
        self.cursor.open();
        if hint > self.cursor.room() {
            self.make_room(hint.min(LARGEST_CLASS));
        }
    }

    /// Appends to the open frame.
    ///
    /// # Panics
    /// The system has no memory left.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        if !self.cursor.put(bytes) {
            self.put_slow(bytes);
        }
    }

    /// Appends one byte to the open frame.
    ///
    /// # Panics
    /// The system has no memory left.
    #[inline(always)]
    pub fn put_u8(&mut self, byte: u8) {
        if !self.cursor.put_u8(byte) {
            self.put_slow(&[byte]);
        }
    }

    /// Appends what `head` puts at the start of `N` bytes, then `bytes`; `head` returns how many of its bytes count.
    ///
    /// # Panics
    /// The system has no memory left.
    #[inline(always)]
    pub fn put_after<const N: usize>(&mut self, bytes: &[u8], head: impl FnOnce(&mut [u8; N]) -> usize) {
        if self.cursor.room().saturating_sub(N) < bytes.len() || self.cursor.room() < N {
            self.make_room(N + bytes.len());
        }
        let put = self.cursor.put_after(bytes, head);
        debug_assert!(put);
    }

    /// Room for at least `len` more bytes of the open frame; what it holds is unspecified. Write a prefix, then
    /// [`advance`](Self::advance) over it.
    ///
    /// # Panics
    /// The system has no memory left.
    #[inline(always)]
    pub fn reserve(&mut self, len: usize) -> &mut [u8] {
        if self.cursor.room() < len {
            self.make_room(len);
        }
        self.cursor.spare()
    }

    /// Bytes that fit before the open frame has to move.
    #[inline(always)]
    pub fn room(&self) -> usize {
        self.cursor.room()
    }

    /// Counts the first `len` bytes of the reserved room as written.
    ///
    /// # Panics
    /// `len` is more than the room.
    #[inline(always)]
    pub fn advance(&mut self, len: usize) {
        self.cursor.advance(len);
    }

    /// Appends what `write` puts at the start of the `max` bytes it is given; it returns how many.
    ///
    /// # Panics
    /// `write` returns more than `max`, or the system has no memory left.
    #[inline(always)]
    pub fn put_with(&mut self, max: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        if max > self.cursor.room() {
            self.make_room(max);
        }
        let put = self.cursor.put_with(max, write);
        debug_assert!(put);
    }

    /// The open frame so far, for patching a length or checking a limit.
    #[inline]
    pub fn frame_mut(&mut self) -> &mut [u8] {
        self.cursor.frame()
    }

    /// Bytes in the open frame.
    #[inline(always)]
    pub fn frame_len(&self) -> usize {
        self.cursor.len()
    }

    /// Closes the open frame.
    #[inline]
    pub fn commit(&mut self) {
        if self.suspended.is_some() {
            self.commit_large();
            return;
        }
        self.ends.push(self.cursor.unsealed_len() as u32);
        self.cursor.open();
    }

    /// Takes the open frame back to its first byte; a buffer it outgrew segments with goes back to
    /// the pool.
    #[inline]
    pub fn abort(&mut self) {
        if self.suspended.is_some() {
            drop(self.leave_large());
        } else {
            self.cursor.rewind();
        }
    }

    /// True if the open frame is the first one in [scratch](Pool::writer_with_scratch), and nothing is of the pool.
    pub fn is_in_scratch(&self) -> bool {
        self.cursor.begins_scratch()
    }

    /// Takes back a frame that [lies in scratch](Self::is_in_scratch), after it was copied out.
    pub fn clear_scratch(&mut self) {
        self.cursor.take_back(self.pool.config().zero_on_reuse);
    }

    /// Adds memory that is already immutable as one whole frame, without a copy. Call between frames.
    ///
    /// # Panics
    /// A frame is open.
    pub fn share(&mut self, frame: Bytes) {
        assert!(self.frame_len() == 0 && self.suspended.is_none(), "share inside a frame");
        self.finish_batch();
        self.done.push(Batch::single(frame));
    }

    /// Takes the committed frames, in order, as batches. Call between frames.
    ///
    /// # Panics
    /// A frame is open.
    pub fn seal(&mut self, mut sink: impl FnMut(Batch)) {
        assert!(self.frame_len() == 0 && self.suspended.is_none(), "seal inside a frame");
        let epoch = Some(self.pool.state().epoch());
        let quiet = self.epoch != epoch;
        self.epoch = epoch;
        if !self.done.is_empty() {
            self.done.drain(..).for_each(&mut sink);
        }
        if !self.ends.is_empty() {
            sink(self.cut(quiet));
        }
    }

    /// Puts the committed frames of the segment behind the batches that are done.
    fn finish_batch(&mut self) {
        if !self.ends.is_empty() {
            let batch = self.cut(false);
            self.done.push(batch);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        let put = self.cursor.put(bytes);
        debug_assert!(put);
    }

    /// Moves the open frame to where it has room for `more` bytes.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, more: usize) {
        let len = self.frame_len();
        let wanted = len.checked_add(more).expect("capacity overflow");
        if self.suspended.is_some() {
            self.enter_large(grown(self.cursor.capacity()).max(wanted));
        } else if wanted <= self.sharing_limit() {
            self.next_segment();
        } else if len == 0 {
            self.enter_large(wanted);
        } else {
            let guess = if self.last_large >= wanted { self.last_large } else { FIRST_GUESS };
            self.enter_large(guess.max(wanted));
        }
    }

    /// Largest frame that may move to another segment.
    fn sharing_limit(&self) -> usize {
        SHARING_LIMIT.min(self.pool.config().segment_bytes / 2)
    }

    /// Goes on at the start of a segment; the open frame comes along.
    fn next_segment(&mut self) {
        let state = self.pool.state().clone();
        if self.ends.is_empty() && self.cursor.restart(state.config.zero_on_reuse) {
            return;
        }
        let mut next = Cursor::in_segment(state.take_segment(), TRAILER_BYTES);
        next.put(self.cursor.frame());
        self.cursor.rewind();
        self.finish_batch();
        if let Some(leased) = std::mem::replace(&mut self.cursor, next).into_leased() {
            state.retire_segment(leased);
        }
    }

    /// Goes on in a larger buffer; the open frame comes along.
    fn enter_large(&mut self, capacity: usize) {
        let mut next = Cursor::in_buffer(PoolState::acquire(self.pool.state(), capacity, self.stream));
        next.put(self.cursor.frame());
        self.cursor.rewind();
        let old = std::mem::replace(&mut self.cursor, next);
        self.suspended.get_or_insert(old);
    }

    /// Back to the segment; the buffer with the open frame is the caller's.
    fn leave_large(&mut self) -> Option<PooledBuf> {
        let segment = self.suspended.take()?;
        std::mem::replace(&mut self.cursor, segment).into_buffer()
    }

    #[cold]
    fn commit_large(&mut self) {
        let Some(buffer) = self.leave_large() else {
            return;
        };
        let len = buffer.len();
        if len <= self.sharing_limit() {
            self.put(&buffer);
            return self.commit();
        }
        self.finish_batch();
        self.last_large = len;
        let batch = if buffer.capacity() <= MAX_SLACK * len {
            in_buffer(buffer)
        } else if SMALLEST_CLASS <= MAX_SLACK * len {
            let mut smaller = PoolState::acquire(self.pool.state(), len, self.stream);
            smaller.put(&buffer);
            in_buffer(smaller)
        } else {
            Batch::single(Bytes::copy_from_slice(&buffer))
        };
        self.done.push(batch);
    }

    /// Makes a batch of the committed frames of the segment; no frame is open. `quiet`: the first one since the
    /// last tick, which is copied out exactly rather than pin a segment that nobody else uses. So is a small one while
    /// segments pin more than they may.
    fn cut(&mut self, quiet: bool) -> Batch {
        let frames = self.cursor.unsealed_len();
        let trailer = needs_trailer(self.ends.len());
        let state = self.pool.state();
        let segment = state.config.segment_bytes;
        let alone = self.cursor.segment().is_none_or(|segment| quiet && Segment::is_free(segment));
        let lonely = frames < segment / MAX_SLACK && state.segments.is_crowded();
        let batch = if frames == 0 && !trailer {
            Batch::of_bytes(Bytes::new(), &self.ends)
        } else if alone || lonely || (trailer && !self.cursor.put_ends(&self.ends)) {
            let batch = exact(self.cursor.unsealed(), trailer, &self.ends);
            self.cursor.take_back(state.config.zero_on_reuse);
            batch
        } else {
            let sample = self.sample(frames);
            let range = self.cursor.seal(sample).expect("frames that are not alone lie in a segment");
            Batch::of_range(range, &self.ends, segment)
        };
        self.ends.clear();
        self.ends.shrink_to(ENDS_KEPT);
        batch
    }

    fn sample(&mut self, bytes: usize) -> Option<Sample> {
        self.leases = self.leases.wrapping_add(1);
        if is_watched(self.leases) { LeaseWatch::begun(&self.pool.state().watch, self.stream, bytes) } else { None }
    }
}

/// A batch of `frames` in memory of its own.
fn exact(frames: &[u8], trailer: bool, ends: &[u32]) -> Batch {
    let trailer = if trailer { ends } else { &[] };
    let mut exact = Vec::with_capacity(frames.len() + size_of_val(trailer));
    exact.extend_from_slice(frames);
    exact.extend(trailer.iter().flat_map(|end| end.to_ne_bytes()));
    Batch::of_bytes(Bytes::from(exact), ends)
}

/// A batch of the one frame in `buffer`.
fn in_buffer(buffer: PooledBuf) -> Batch {
    let capacity = buffer.capacity();
    Batch::in_buffer(buffer.freeze(), capacity)
}

impl Drop for Writer {
    fn drop(&mut self) {
        let segment = self.suspended.take().unwrap_or_else(Cursor::nowhere);
        for cursor in [segment, std::mem::replace(&mut self.cursor, Cursor::nowhere())] {
            if let Some(leased) = cursor.into_leased() {
                self.pool.state().retire_segment(leased);
            }
        }
    }
}

impl io::Write for Writer {
    #[inline(always)]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf);
        Ok(buf.len())
    }

    #[inline(always)]
    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        self.put(buf);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
