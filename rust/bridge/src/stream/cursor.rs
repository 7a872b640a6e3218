//! A consumer's cursor in one batch: which frames it has taken, and which of those its queue has counted.

use std::ops::Range;

use bytes::Bytes;
use pybridge_pool::Batch;

use super::queue::FRAME_OVERHEAD;

/// The consumer's place in the batch it is taking frames from.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    batch: Batch,
    next: usize,
    credited: usize,
}

impl Cursor {
    /// Starts on the next batch.
    pub(crate) fn load(&mut self, batch: Batch) {
        *self = Self { batch, next: 0, credited: 0 };
    }

    /// The next frame's place within [`Self::bytes`].
    pub(crate) fn advance(&mut self) -> Option<Range<usize>> {
        let range = self.batch.range(self.next)?;
        self.next += 1;
        Some(range)
    }

    /// The place of all frames not yet taken, as one slice.
    pub(crate) fn advance_to_end(&mut self) -> Option<Range<usize>> {
        let start = self.batch.range(self.next)?.start;
        self.next = self.batch.frames();
        Some(start..self.batch.bytes().len())
    }

    /// Bytes that one frame of the batch keeps from going home.
    pub(crate) fn pins(&self) -> usize {
        self.batch.pins()
    }

    /// The whole batch.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.batch.bytes()
    }

    /// Part of the batch, in its memory, which it keeps alive.
    pub(crate) fn share(&mut self, range: Range<usize>) -> Bytes {
        self.batch.slice(range)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next >= self.batch.frames()
    }

    /// What was taken since the last call, as the queue counts it. Due when the batch is out or the producer waits.
    pub(crate) fn settle(&mut self) -> (usize, usize) {
        let start = self.credited;
        if start == self.next {
            return (0, 0);
        }
        let from = self.batch.range(start).map_or(0, |range| range.start);
        let to = self.batch.range(self.next - 1).map_or(0, |range| range.end);
        self.credited = self.next;
        (to - from + FRAME_OVERHEAD * (self.next - start), self.next - start)
    }

    /// True while it has no batch.
    pub(crate) fn is_clear(&self) -> bool {
        self.batch.frames() == 0
    }

    /// Gives the batch's memory up.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
