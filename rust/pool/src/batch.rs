//! Frames of one stream that were sealed together.

use std::ops::Range;

use bytes::Bytes;

/// Frame ends kept in the batch itself; the ends of more frames follow the frames in their segment.
const INLINE_ENDS: usize = 6;

/// Bytes that one end takes behind the frames.
pub(crate) const END_BYTES: usize = size_of::<u32>();

#[derive(Debug, Clone)]
enum Ends {
    /// One frame: all of the data.
    One,
    Inline {
        count: u8,
        ends: [u32; INLINE_ENDS],
    },
    /// Native-endian `u32`s.
    Trailer(Bytes),
}

/// Frames that lie one after the other in one immutable slice.
#[derive(Debug, Clone)]
pub struct Batch {
    data: Bytes,
    ends: Ends,
    /// Bytes of the memory that the frames lie in, at most `u32::MAX`.
    held: u32,
    shared: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self { data: Bytes::new(), ends: Ends::Inline { count: 0, ends: [0; INLINE_ENDS] }, held: 0, shared: false }
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
    /// Frames that end at `ends`; `data` is followed by the ends if [`needs_trailer`] says so. `segment`: the
    /// capacity of the segment they share with other batches, if they do.
    pub(crate) fn new(mut data: Bytes, ends: &[u32], segment: Option<usize>) -> Self {
        let held = saturated(segment.unwrap_or(data.len()));
        let ends = if needs_trailer(ends.len()) {
            let trailer = data.len() - ends.len() * END_BYTES;
            Ends::Trailer(data.split_off(trailer))
        } else if ends.len() == 1 {
            Ends::One
        } else {
            let mut inline = [0; INLINE_ENDS];
            inline[..ends.len()].copy_from_slice(ends);
            Ends::Inline { count: ends.len() as u8, ends: inline }
        };
        Self { data, ends, held, shared: segment.is_some() }
    }

    /// One frame that has its memory to itself.
    pub fn single(data: Bytes) -> Self {
        let held = data.len();
        Self::in_buffer(data, held)
    }

    /// One frame in a buffer of `capacity` bytes of its own.
    pub(crate) fn in_buffer(data: Bytes, capacity: usize) -> Self {
        Self { data, ends: Ends::One, held: saturated(capacity), shared: false }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        match &self.ends {
            Ends::One => 1,
            Ends::Inline { count, .. } => usize::from(*count),
            Ends::Trailer(ends) => ends.len() / END_BYTES,
        }
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// Byte range of the frame at `index`, if there is one.
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let start = if index == 0 { 0 } else { self.end(index - 1)? };
        Some(start..self.end(index)?)
    }

    /// The frame at `index` as a slice that shares this batch's memory.
    pub fn frame(&self, index: usize) -> Option<Bytes> {
        self.range(index).map(|range| self.data.slice(range))
    }

    /// True while the frames lie in a segment that other batches share, so that they pin more than themselves.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Bytes that cannot go home as long as one frame of this batch lives: those of the segment, of the frame's own
    /// buffer, or of the batch.
    pub fn pins(&self) -> usize {
        self.held as usize
    }

    /// Replaces memory shared with other batches by an exact copy, so that the segment can go home; other
    /// memory is left alone. Returns the bytes copied.
    pub fn copy_out(&mut self) -> usize {
        if !std::mem::take(&mut self.shared) {
            return 0;
        }
        let frames = self.data.len();
        if let Ends::Trailer(ends) = &self.ends {
            let mut copy = Vec::with_capacity(frames + ends.len());
            copy.extend_from_slice(&self.data);
            copy.extend_from_slice(ends);
            self.data = Bytes::from(copy);
            self.ends = Ends::Trailer(self.data.split_off(frames));
        } else {
            self.data = Bytes::copy_from_slice(&self.data);
        }
        self.held = saturated(frames);
        frames
    }

    fn end(&self, index: usize) -> Option<usize> {
        match &self.ends {
            Ends::One => (index == 0).then_some(self.data.len()),
            Ends::Inline { count, ends } => (index < usize::from(*count)).then(|| ends[index] as usize),
            Ends::Trailer(ends) => {
                let at = index.checked_mul(END_BYTES)?;
                let end = ends.get(at..at + END_BYTES)?;
                end.try_into().ok().map(|end| u32::from_ne_bytes(end) as usize)
            }
        }
    }
}
