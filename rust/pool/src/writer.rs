//! The producing thread's half: frames are written in place and sealed together.
#![expect(
    clippy::inline_always,
    reason = "a put of a few bytes is cheaper than a call"
)]

use std::io;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::batch::{Batch, END_BYTES, needs_trailer};
use crate::buffer::PooledBuf;
use crate::cursor::Cursor;
use crate::large::{CLASSES, FIRST_GUESS, GROWTH};
use crate::leak::SAMPLE_EVERY;
use crate::pool::Pool;
use crate::ring::Leased;

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
    /// Offset of the first byte of the segment that is not sealed.
    run: usize,
    leased: Option<Leased>,
    /// The open frame, if it outgrew segments; then the cursor is in it, and the segment's free part starts here.
    large: Option<(PooledBuf, usize)>,
    done: SmallVec<[Batch; 2]>,
    last_large: usize,
    epoch: Option<usize>,
    stream: u64,
    leases: u32,
    pool: Pool,
}

impl Writer {
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            cursor: Cursor::empty(),
            ends: Vec::new(),
            run: 0,
            leased: None,
            large: None,
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
        debug_assert!(self.large.is_none(), "begin inside a frame");
        self.cursor.open();
        if hint > self.cursor.room() {
            self.make_room(hint.min(CLASSES[CLASSES.len() - 1]));
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
        let len = write(&mut self.reserve(max)[..max]);
        assert!(len <= max, "put_with: wrote more than it asked for");
        self.cursor.advance(len);
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
        if self.large.is_some() {
            self.commit_large();
            return;
        }
        let end = self.leased.as_ref().map_or(0, |leased| {
            leased.segment.offset(self.cursor.at()) - self.run
        });
        self.ends.push(end as u32);
        self.cursor.open();
    }

    /// Takes the open frame back to its first byte; a buffer it outgrew segments with goes home.
    #[inline]
    pub fn abort(&mut self) {
        if self.large.is_some() {
            drop(self.leave_large());
        } else {
            self.cursor.rewind();
        }
    }

    /// Adds memory that is already immutable as one whole frame, without a copy. Call between frames.
    ///
    /// # Panics
    /// A frame is open.
    pub fn share(&mut self, frame: Bytes) {
        assert!(
            self.frame_len() == 0 && self.large.is_none(),
            "share inside a frame"
        );
        self.cut(false);
        self.done.push(Batch::single(frame));
    }

    /// Takes the committed frames, in order, as batches. Call between frames.
    ///
    /// # Panics
    /// A frame is open.
    pub fn seal(&mut self, mut sink: impl FnMut(Batch)) {
        assert!(
            self.frame_len() == 0 && self.large.is_none(),
            "seal inside a frame"
        );
        let epoch = Some(self.pool.core().epoch());
        let quiet = self.epoch != epoch;
        self.epoch = epoch;
        self.cut(quiet);
        for batch in self.done.drain(..) {
            sink(batch);
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
        let segment_bytes = self.pool.config().segment_bytes;
        if let Some((buffer, _)) = &self.large {
            let grown = buffer
                .capacity()
                .saturating_mul(GROWTH)
                .min(CLASSES[CLASSES.len() - 1]);
            self.enter_large(grown.max(wanted));
        } else if wanted <= SHARING_LIMIT.min(segment_bytes / 2) {
            self.next_segment();
        } else {
            let guess = if self.last_large >= wanted {
                self.last_large
            } else {
                FIRST_GUESS
            };
            let hinted = len == 0;
            self.enter_large(if hinted { wanted } else { guess.max(wanted) });
        }
    }

    /// Goes on in another segment; the open frame comes along.
    fn next_segment(&mut self) {
        let next = self.pool.core().take_segment();
        let usable = next.segment.capacity() - TRAILER_BYTES;
        let mut next = Some(next);
        let mut cursor = next
            .as_mut()
            .map_or_else(Cursor::empty, |next| next.segment.cursor(0, usable));
        cursor.put(self.cursor.frame());
        self.cursor.rewind();
        self.cut(false);
        if let Some(old) = std::mem::replace(&mut self.leased, next) {
            self.pool.core().retire_segment(old);
        }
        self.cursor = cursor;
        self.run = 0;
    }

    /// Goes on in a larger buffer; the open frame comes along.
    fn enter_large(&mut self, capacity: usize) {
        let mut buffer = self.pool.core().acquire(capacity);
        let cursor = buffer.cursor(self.cursor.frame());
        let resume = if let Some((_, resume)) = self.large.take() {
            resume
        } else {
            self.cursor.rewind();
            self.leased
                .as_ref()
                .map_or(0, |leased| leased.segment.offset(self.cursor.at()))
        };
        self.large = Some((buffer, resume));
        self.cursor = cursor;
    }

    /// Back to the segment; the buffer with the open frame is the caller's.
    fn leave_large(&mut self) -> Option<PooledBuf> {
        let len = self.frame_len();
        let (mut buffer, resume) = self.large.take()?;
        buffer.advance(len);
        self.cursor = self.segment_cursor(resume);
        Some(buffer)
    }

    fn segment_cursor(&mut self, from: usize) -> Cursor {
        match &mut self.leased {
            Some(leased) => {
                let usable = leased.segment.capacity() - TRAILER_BYTES;
                leased.segment.cursor(from, usable.max(from))
            }
            None => Cursor::empty(),
        }
    }

    #[cold]
    fn commit_large(&mut self) {
        let Some(buffer) = self.leave_large() else {
            return;
        };
        self.cut(false);
        self.last_large = buffer.len();
        let frame = if buffer.capacity() > MAX_SLACK * buffer.len() {
            let mut smaller = self.pool.core().acquire(buffer.len());
            smaller.put(&buffer);
            smaller.freeze()
        } else {
            buffer.freeze()
        };
        self.done.push(Batch::single(frame));
    }

    /// Makes a batch of the committed frames of the segment.
    fn cut(&mut self, quiet: bool) {
        if self.ends.is_empty() {
            return;
        }
        let batch = self.cut_run(quiet);
        self.done.push(batch);
        self.ends.clear();
        self.ends.shrink_to(ENDS_KEPT);
    }

    fn cut_run(&mut self, quiet: bool) -> Batch {
        let frames = self.ends.last().map_or(0, |&end| end as usize);
        let trailer = if needs_trailer(self.ends.len()) {
            self.ends.len() * END_BYTES
        } else {
            0
        };
        let sample = self.sample(frames);
        let (run, ends) = (self.run, &self.ends);
        let Some(Leased { segment, .. }) = self.leased.as_mut().filter(|_| frames + trailer > 0)
        else {
            return Batch::new(Bytes::new(), ends, false);
        };
        let end = run + frames + trailer;
        let alone = quiet && segment.is_free();
        if alone || end > segment.capacity() {
            let mut exact = Vec::with_capacity(frames + trailer);
            exact.extend_from_slice(segment.bytes(run, run + frames));
            if trailer > 0 {
                exact.extend(ends.iter().flat_map(|end| end.to_ne_bytes()));
            }
            if alone {
                segment.reuse(self.pool.config().zero_on_reuse);
                self.run = 0;
            }
            let batch = Batch::new(Bytes::from(exact), ends, false);
            self.cursor = self.segment_cursor(self.run);
            return batch;
        }
        if trailer > 0 {
            let mut tail = segment.cursor(run + frames, end);
            for end in ends {
                let put = tail.put(&end.to_ne_bytes());
                debug_assert!(put);
            }
        }
        let batch = Batch::new(segment.seal(run, end, sample), ends, true);
        self.run = end;
        self.cursor = self.segment_cursor(end);
        batch
    }

    fn sample(&mut self, bytes: usize) -> Option<crate::leak::Sample> {
        self.leases = self.leases.wrapping_add(1);
        if self.leases.is_multiple_of(SAMPLE_EVERY) {
            self.pool.core().watch.begun(self.stream, bytes)
        } else {
            None
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(leased) = self.leased.take() {
            self.pool.core().retire_segment(leased);
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
