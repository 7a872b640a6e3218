//! Frames of one stream that were sealed together.

use bytes::Bytes;
use smallvec::SmallVec;

/// Frame ends kept without an allocation: a stream that waits for every item has one frame a batch.
const INLINE_ENDS: usize = 4;

/// Frames that lie one after the other in one immutable slice.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    data: Bytes,
    ends: SmallVec<[u32; INLINE_ENDS]>,
}

impl Batch {
    pub(crate) fn new(data: Bytes, ends: SmallVec<[u32; INLINE_ENDS]>) -> Self {
        debug_assert_eq!(ends.last().map_or(0, |&end| end as usize), data.len());
        Self { data, ends }
    }

    /// One frame that has its memory to itself.
    pub fn single(data: Bytes) -> Self {
        let end = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { data, ends: smallvec::smallvec![end] }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// Byte range of the frame at `index`, if there is one.
    pub fn range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(start..end)
    }

    /// The frame at `index` as a slice that shares this batch's memory.
    pub fn frame(&self, index: usize) -> Option<Bytes> {
        self.range(index).map(|range| self.data.slice(range))
    }

    /// Replaces the shared memory by an exact copy, so that the segment can go home.
    pub fn copy_out(&mut self) {
        self.data = Bytes::copy_from_slice(&self.data);
    }
}
