//! Segments: one mapping, one producing thread, many sealed ranges that consumers drop anywhere.
//!
//! The owner counts the bytes it sealed, consumers count the bytes they returned; equal means that nobody
//! reads the segment. Nothing is sent back, sealing costs no atomic read-modify-write, and a drop costs one.
#![expect(unsafe_code, reason = "an owner and its ranges share one count of their segment")]

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;

use crate::leak::Sample;
use crate::mapping::{Mapping, POISON, assert_poisoned};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Added to `returned` when the owner lets go of a segment that is still read: the consumer whose drop
/// makes the word equal to it is the last one. Far above any segment, far below overflow.
const ORPHANED: usize = 1 << (usize::BITS - 2);

/// What the owner, the statistics and the ranges share. Consumers write only `returned`, on lines of its own.
#[derive(Debug)]
pub(crate) struct Shared {
    mapping: Mapping,
    sealed: AtomicUsize,
    returned: Lines,
}

/// Two lines, because neighbouring ones are fetched together.
#[repr(align(128))]
#[derive(Debug)]
struct Lines(AtomicUsize);

impl Shared {
    /// Sealed bytes that somebody may still read.
    pub(crate) fn live(&self) -> usize {
        let returned = self.returned.0.load(Ordering::Acquire);
        self.sealed.load(Ordering::Relaxed).saturating_sub(returned)
    }
}

/// The owner's handle.
#[derive(Debug)]
pub(crate) struct Segment {
    /// One count for the owner and its ranges together; it is given up by whoever ends last.
    shared: ManuallyDrop<Arc<Shared>>,
}

impl Segment {
    /// Maps a segment, or `None` if the system has no room.
    pub(crate) fn new(capacity: usize) -> Option<Self> {
        let mapping = Mapping::new(capacity)?;
        let returned = Lines(AtomicUsize::new(0));
        let shared = Arc::new(Shared { mapping, sealed: AtomicUsize::new(0), returned });
        Some(Self { shared: ManuallyDrop::new(shared) })
    }

    /// Bytes it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.shared.mapping.len()
    }

    /// Address of the first byte, with the right to all of the memory.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.shared.mapping.start()
    }

    /// For statistics.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sealed bytes that somebody may still read.
    pub(crate) fn live(&self) -> usize {
        self.shared.live()
    }

    /// True when every sealed byte came back.
    pub(crate) fn is_free(&self) -> bool {
        self.live() == 0
    }

    /// Starts over; only a free segment can.
    pub(crate) fn reset(&mut self) {
        assert!(self.is_free(), "reset of a segment that is read");
        self.shared.sealed.store(0, Ordering::Relaxed);
        self.shared.returned.0.store(0, Ordering::Relaxed);
    }

    /// Called when a free segment is parked: makes a later read of it visible in builds with assertions.
    pub(crate) fn poison(&mut self) {
        if cfg!(debug_assertions) {
            self.memory().fill(POISON);
        }
    }

    /// Called when a parked segment is taken again.
    pub(crate) fn prepare(&mut self, zero: bool) {
        if cfg!(debug_assertions) {
            assert_poisoned(self.memory());
        }
        if zero {
            self.memory().fill(0);
        }
    }

    fn memory(&mut self) -> &mut [u8] {
        assert!(self.is_free(), "memory of a segment that is read");
        // SAFETY: no range is alive, only the owner, borrowed exclusively here, makes new ones, and no cursor owns it.
        unsafe { slice::from_raw_parts_mut(self.start().as_ptr(), self.capacity()) }
    }

    /// Makes `from..to` immutable and shared. The cursor that calls this does not write there before `reset`.
    pub(crate) fn seal(&mut self, from: usize, to: usize, sample: Option<Sample>) -> SealedRange {
        assert!(from < to && to <= self.capacity());
        let sealed = &self.shared.sealed;
        sealed.store(sealed.load(Ordering::Relaxed) + (to - from), Ordering::Relaxed);
        // SAFETY: the copy is dropped only in place of the owner's handle, by a range that ends after it.
        let shared = unsafe { ptr::read(&raw const self.shared) };
        SealedRange { shared, from: from as u32, to: to as u32, sample: sample.map(Box::new) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let sealed = self.shared.sealed.load(Ordering::Relaxed);
        let returned = self.shared.returned.0.fetch_add(ORPHANED - sealed, Ordering::AcqRel);
        if returned == sealed {
            // SAFETY: every range has ended, so nobody else gives up the count.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
    }
}

/// Sealed bytes of a segment. Dropping it returns them; it needs no allocation of its own.
#[derive(Debug)]
pub(crate) struct SealedRange {
    shared: ManuallyDrop<Arc<Shared>>,
    from: u32,
    to: u32,
    sample: Option<Box<Sample>>,
}

impl SealedRange {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        (self.to - self.from) as usize
    }
}

impl AsRef<[u8]> for SealedRange {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping lives until this range has returned its bytes, and nobody writes sealed bytes.
        unsafe {
            let start = self.shared.mapping.start().add(self.from as usize);
            slice::from_raw_parts(start.as_ptr(), self.len())
        }
    }
}

impl Drop for SealedRange {
    fn drop(&mut self) {
        drop(self.sample.take());
        let len = self.len();
        let returned = self.shared.returned.0.fetch_add(len, Ordering::AcqRel) + len;
        if returned == ORPHANED {
            // SAFETY: the owner and all other ranges have ended, so nobody else gives up the count.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const CAPACITY: usize = 4 << 10;

    fn segment() -> Segment {
        Segment::new(CAPACITY).expect("room")
    }

    fn panics(act: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(act)).is_err()
    }

    #[test]
    fn sealed_bytes_are_live_until_they_are_returned() {
        let mut segment = segment();
        let (one, other) = (segment.seal(0, 8, None), segment.seal(CAPACITY - 16, CAPACITY, None));
        assert_eq!((one.len(), other.len(), segment.live(), segment.is_free()), (8, 16, 24, false));
        assert_eq!((one.as_ref().as_ptr(), one.as_ref().len()), (segment.start().as_ptr().cast_const(), 8));
        assert_eq!(other.as_ref().as_ptr().addr() - one.as_ref().as_ptr().addr(), CAPACITY - 16);
        drop(one);
        assert_eq!(segment.live(), 16);
        drop(other);
        assert!(segment.is_free());
    }

    #[test]
    fn only_bytes_of_the_segment_are_sealed() {
        let mut segment = segment();
        for (from, to) in [(8, 8), (9, 8), (0, CAPACITY + 1), (CAPACITY, CAPACITY + 1)] {
            assert!(panics(|| drop(segment.seal(from, to, None))), "{from}..{to}");
        }
        assert!(segment.is_free());
        assert_eq!(segment.seal(0, CAPACITY, None).len(), CAPACITY);
    }

    #[test]
    fn a_segment_that_is_read_can_neither_start_over_nor_be_written() {
        let mut segment = segment();
        let range = segment.seal(0, 8, None);
        assert!(panics(|| segment.reset()) && panics(|| segment.prepare(true)));
        assert!(!cfg!(debug_assertions) || panics(|| segment.poison()));
        drop(range);
        segment.reset();
        assert_eq!(segment.seal(8, 12, None).len(), 4);
    }

    #[test]
    fn a_parked_segment_is_poisoned_and_looked_at_when_it_is_taken_again() {
        let mut segment = segment();
        segment.poison();
        if cfg!(debug_assertions) {
            assert_eq!(segment.memory(), [POISON; CAPACITY]);
        }
        segment.prepare(false);
        segment.prepare(true);
        assert_eq!(segment.memory(), [0; CAPACITY]);
        assert!(!cfg!(debug_assertions) || panics(|| segment.prepare(false)), "somebody wrote to it");
    }

    #[test]
    fn whoever_ends_last_lets_the_memory_go() {
        for owner_first in [true, false] {
            let mut segment = segment();
            let count = segment.shared().clone();
            let ranges = [segment.seal(0, 8, None), segment.seal(8, 9, None)];
            if owner_first {
                drop(segment);
                assert_eq!(Arc::strong_count(&count), 2);
                drop(ranges);
            } else {
                drop(ranges);
                assert_eq!(Arc::strong_count(&count), 2);
                drop(segment);
            }
            assert_eq!(Arc::strong_count(&count), 1);
        }
    }
}
