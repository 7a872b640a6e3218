//! A consumer's place in one batch: the frames that it has taken, and those whose credit was returned.

use std::ops::Range;

use bytes::Bytes;
use pybridge_pool::Batch;

use crate::state::FRAME_OVERHEAD;

/// The consumer's place in the batch it is taking frames from.
#[derive(Debug, Default)]
pub(crate) struct BatchCursor {
    batch: Batch,
    next: usize,
    credited: usize,
}

impl BatchCursor {
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

    /// Bytes that one frame of the batch keeps from going back to the pool.
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
    pub(crate) fn take_due_credit(&mut self) -> (usize, usize) {
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

#[cfg(test)]
mod tests {
    use pybridge_pool::{Pool, PoolConfig, Writer};

    use super::*;

    fn frame(len: usize) -> Batch {
        Batch::single(Bytes::from(vec![b'x'; len]))
    }

    /// A batch of many frames in a segment that others share.
    fn frames(writer: &mut Writer, lens: &[usize]) -> Batch {
        let mut sealed = Batch::default();
        for _ in 0..2 {
            for &len in lens {
                writer.begin(0);
                writer.put(&vec![b'x'; len]);
                writer.commit();
            }
            writer.seal(|batch| sealed = batch);
        }
        assert!(sealed.is_shared(), "the second batch of an interval");
        sealed
    }

    #[test]
    fn a_cursor_gives_frames_one_by_one_or_all_that_are_left_and_settles_what_it_gave() {
        let pool = Pool::new(PoolConfig::default()).expect("the defaults are valid");
        let mut cursor = BatchCursor::default();
        assert!(cursor.is_empty() && cursor.advance().is_none() && cursor.advance_to_end().is_none());
        assert!(cursor.is_clear());
        cursor.load(frames(&mut pool.writer(), &[1, 2, 0, 4]));
        assert_eq!((cursor.pins(), cursor.bytes().len(), cursor.take_due_credit()), (64 << 10, 7, (0, 0)));
        assert_eq!(cursor.advance(), Some(0..1));
        assert_eq!(cursor.take_due_credit(), (1 + 64, 1));
        assert_eq!((cursor.advance(), cursor.advance()), (Some(1..3), Some(3..3)));
        assert_eq!((cursor.take_due_credit(), cursor.take_due_credit()), ((2 + 2 * 64, 2), (0, 0)));
        assert!(!cursor.is_empty());
        assert_eq!(cursor.advance_to_end(), Some(3..7));
        assert_eq!(cursor.share(3..7), "xxxx");
        assert!(cursor.is_empty() && cursor.advance().is_none() && cursor.advance_to_end().is_none());
        assert_eq!(cursor.take_due_credit(), (4 + 64, 1));
        cursor.load(frame(3));
        assert_eq!((cursor.advance_to_end(), cursor.take_due_credit()), (Some(0..3), (3 + 64, 1)));
        assert!(cursor.is_empty() && !cursor.is_clear(), "its memory is still there");
        cursor.clear();
        assert_eq!((cursor.is_clear(), cursor.bytes().len()), (true, 0));
    }
}
