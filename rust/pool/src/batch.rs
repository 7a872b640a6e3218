//! Frames of one stream that were sealed together.

use std::mem;
use std::ops::Range;

use bytes::Bytes;

use crate::segment::SealedRange;

/// Frame ends kept in the batch itself; the ends of more frames follow the frames in their memory.
const INLINE_ENDS: usize = 6;

/// Bytes that one end takes behind the frames.
pub(crate) const END_BYTES: usize = size_of::<u32>();

/// What holds the frames, and behind them their ends if they are many.
#[derive(Debug)]
enum Memory {
    /// Part of a segment that other batches share.
    Sealed(SealedRange),
    /// The same, once somebody asked for frames that outlive the batch.
    Shared(Bytes),
    /// Memory of its own.
    Own(Bytes),
}

#[derive(Debug)]
enum Ends {
    /// One frame: all of the data.
    One,
    Inline {
        count: u8,
        ends: [u32; INLINE_ENDS],
    },
    /// So many native-endian `u32`s behind the frames.
    Trailer(u32),
}

/// Frames that lie one after the other in one immutable slice.
///
/// Making and dropping one allocates nothing; only frames that are to outlive it cost one small allocation per batch.
#[derive(Debug)]
pub struct Batch {
    memory: Memory,
    /// Bytes of the frames; their ends may follow.
    len: u32,
    ends: Ends,
    /// Bytes of the memory that the frames lie in, at most `u32::MAX`.
    held: u32,
}

impl Default for Batch {
    fn default() -> Self {
        let ends = Ends::Inline { count: 0, ends: [0; INLINE_ENDS] };
        Self { memory: Memory::Own(Bytes::new()), len: 0, ends, held: 0 }
    }
}

/// True if the ends of so many frames are to be written behind them.
pub(crate) fn needs_trailer(frames: usize) -> bool {
    frames > INLINE_ENDS
}

fn saturated(bytes: usize) -> u32 {
    bytes.try_into().unwrap_or(u32::MAX)
}

impl Batch {
    /// Frames that end at `ends`; `range` goes on with the ends if [`needs_trailer`] says so. `segment`: the capacity of
    /// the segment that the range shares with other batches.
    pub(crate) fn of_range(range: SealedRange, ends: &[u32], segment: usize) -> Self {
        let len = range.len();
        Self::new(Memory::Sealed(range), len, ends, segment)
    }

    /// The same in memory of its own.
    pub(crate) fn of_bytes(data: Bytes, ends: &[u32]) -> Self {
        let len = data.len();
        Self::new(Memory::Own(data), len, ends, len)
    }

    fn new(memory: Memory, len: usize, ends: &[u32], held: usize) -> Self {
        let count = ends.len();
        let (len, ends) = if needs_trailer(count) {
            (len - count * END_BYTES, Ends::Trailer(count as u32))
        } else if count == 1 {
            (len, Ends::One)
        } else {
            let mut inline = [0; INLINE_ENDS];
            inline[..count].copy_from_slice(ends);
            (len, Ends::Inline { count: count as u8, ends: inline })
        };
        Self { memory, len: len as u32, ends, held: saturated(held) }
    }

    /// One frame that has its memory to itself.
    ///
    /// # Panics
    /// The frame has 4 GiB or more.
    pub fn single(data: Bytes) -> Self {
        let held = data.len();
        Self::in_buffer(data, held)
    }

    /// One frame in a buffer of `capacity` bytes of its own.
    pub(crate) fn in_buffer(data: Bytes, capacity: usize) -> Self {
        let len = u32::try_from(data.len()).expect("a frame is smaller than 4 GiB");
        Self { memory: Memory::Own(data), len, ends: Ends::One, held: saturated(capacity) }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        match &self.ends {
            Ends::One => 1,
            Ends::Inline { count, .. } => usize::from(*count),
            Ends::Trailer(count) => *count as usize,
        }
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> &[u8] {
        &self.memory()[..self.len as usize]
    }

    /// Byte range of the frame at `index` within [`bytes`](Self::bytes), if there is one.
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let start = if index == 0 { 0 } else { self.end(index - 1)? };
        Some(start..self.end(index)?)
    }

    /// The frame at `index`, in this batch's memory, which it keeps alive.
    pub fn frame(&mut self, index: usize) -> Option<Bytes> {
        self.range(index).map(|range| self.slice(range))
    }

    /// Part of [`bytes`](Self::bytes), in this batch's memory, which it keeps alive.
    ///
    /// # Panics
    /// `range` goes beyond the frames.
    pub fn slice(&mut self, range: Range<usize>) -> Bytes {
        assert!(range.end <= self.len as usize, "a slice beyond the frames");
        if let Memory::Sealed(_) = self.memory {
            let Memory::Sealed(range) = mem::replace(&mut self.memory, Memory::Own(Bytes::new())) else {
                unreachable!()
            };
            self.memory = Memory::Shared(Bytes::from_owner(range));
        }
        match &self.memory {
            Memory::Shared(data) | Memory::Own(data) => data.slice(range),
            Memory::Sealed(_) => unreachable!("replaced above"),
        }
    }

    /// True while the frames lie in a segment that other batches share, so that they pin more than themselves.
    pub fn is_shared(&self) -> bool {
        !matches!(self.memory, Memory::Own(_))
    }

    /// Bytes that cannot go back to the pool as long as one frame of this batch lives: those of the segment, of the frame's own
    /// buffer, or of the batch.
    pub fn pins(&self) -> usize {
        self.held as usize
    }

    /// Replaces memory shared with other batches by an exact copy, so that the segment can go back to the
    /// pool; other memory is left alone. Returns the bytes copied.
    pub fn copy_out(&mut self) -> usize {
        if !self.is_shared() {
            return 0;
        }
        self.memory = Memory::Own(Bytes::copy_from_slice(self.memory()));
        self.held = self.len;
        self.len as usize
    }

    fn memory(&self) -> &[u8] {
        match &self.memory {
            Memory::Sealed(range) => range.as_ref(),
            Memory::Shared(data) | Memory::Own(data) => data,
        }
    }

    fn end(&self, index: usize) -> Option<usize> {
        match &self.ends {
            Ends::One => (index == 0).then_some(self.len as usize),
            Ends::Inline { count, ends } => (index < usize::from(*count)).then(|| ends[index] as usize),
            Ends::Trailer(count) => {
                let at = (index < *count as usize).then(|| self.len as usize + index * END_BYTES)?;
                let end = self.memory().get(at..at + END_BYTES)?;
                end.try_into().ok().map(|end| u32::from_ne_bytes(end) as usize)
            }
        }
    }
}
