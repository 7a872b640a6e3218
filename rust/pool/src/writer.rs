//! The producing thread's half: frames are written in place and sealed together.

use std::io;

use bytes::BytesMut;
use smallvec::SmallVec;

use crate::{Batch, Pool};

/// Writes frames; owned by one thread.
///
/// `begin`, any number of `put`s, then `commit` or `abort` make one frame; `seal` takes the committed frames.
#[derive(Debug)]
pub struct Writer {
    pool: Pool,
    segment: BytesMut,
    frame_start: usize,
    ends: SmallVec<[u32; 4]>,
}

impl Writer {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, segment: BytesMut::new(), frame_start: 0, ends: SmallVec::new() }
    }

    /// The pool this writer takes memory from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Opens a frame. `hint`: bytes expected, 0 if unknown.
    pub fn begin(&mut self, hint: usize) {
        self.frame_start = self.segment.len();
        self.segment.reserve(hint);
    }

    /// Appends to the open frame.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.segment.extend_from_slice(bytes);
    }

    /// Appends one byte to the open frame.
    #[inline]
    pub fn put_u8(&mut self, byte: u8) {
        self.segment.extend_from_slice(&[byte]);
    }

    /// The open frame so far, for patching a length or checking a limit.
    pub fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.segment[self.frame_start..]
    }

    /// Bytes in the open frame.
    #[inline]
    pub fn frame_len(&self) -> usize {
        self.segment.len() - self.frame_start
    }

    /// Closes the open frame.
    pub fn commit(&mut self) {
        self.ends.push(self.segment.len() as u32);
    }

    /// Takes the open frame back to its first byte.
    pub fn abort(&mut self) {
        self.segment.truncate(self.frame_start);
    }

    /// Adds memory that is already immutable as one whole frame, without a copy.
    pub fn share(&mut self, frame: bytes::Bytes) {
        self.begin(frame.len());
        self.put(&frame);
        self.commit();
    }

    /// Takes the committed frames, in order, as batches.
    pub fn seal(&mut self, mut sink: impl FnMut(Batch)) {
        if !self.ends.is_empty() {
            sink(Batch::new(self.segment.split().freeze(), std::mem::take(&mut self.ends)));
        }
    }
}

impl io::Write for Writer {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf);
        Ok(buf.len())
    }

    #[inline]
    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        self.put(buf);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
