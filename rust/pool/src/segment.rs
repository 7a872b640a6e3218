//! Segments: one mapping, one producing thread, many sealed runs that consumers drop anywhere.
//!
//! The owner counts the bytes it sealed, consumers count the bytes they returned. Equal means nobody reads
//! the segment. Nothing is sent back and sealing costs no atomic read-modify-write; a drop costs one.
#![expect(
    unsafe_code,
    reason = "runs point into a segment whose owner keeps it alive"
)]

use std::ptr::NonNull;
use std::slice;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::leak::{LeaseWatch, Sample};
use crate::mapping::{Mapping, POISON, assert_poisoned};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Added to `returned` when the owner lets go of a segment that is still read: the consumer whose drop
/// makes the word equal to it is the last one. Far above any segment, far below overflow.
const ORPHANED: usize = 1 << (usize::BITS - 2);

/// What the owner, the statistics and the runs share. Two cache lines apart: consumers write only `returned`.
#[derive(Debug)]
pub(crate) struct Shared {
    mapping: Mapping,
    watch: Arc<LeaseWatch>,
    sealed: AtomicUsize,
    returned: Line,
}

#[repr(align(128))]
#[derive(Debug)]
struct Line(AtomicUsize);

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
    shared: Arc<Shared>,
}

impl Segment {
    /// Maps a segment, or `None` if the system has no room.
    pub(crate) fn new(capacity: usize, watch: Arc<LeaseWatch>) -> Option<Self> {
        let mapping = Mapping::new(capacity)?;
        let returned = Line(AtomicUsize::new(0));
        Some(Self {
            shared: Arc::new(Shared {
                mapping,
                watch,
                sealed: AtomicUsize::new(0),
                returned,
            }),
        })
    }

    /// Bytes it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.shared.mapping.len()
    }

    /// For statistics.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
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

    /// Starts a free segment over for the same writer.
    pub(crate) fn reuse(&mut self, zero: bool) {
        self.reset();
        if zero {
            self.memory().fill(0);
        }
    }

    fn memory(&mut self) -> &mut [u8] {
        assert!(self.is_free(), "memory of a segment that is read");
        let mapping = &self.shared.mapping;
        // SAFETY: no run is alive, and only the owner, borrowed exclusively here, makes new ones.
        unsafe { slice::from_raw_parts_mut(mapping.start().as_ptr(), mapping.len()) }
    }

    /// Offset of an address that a cursor of this segment gave.
    pub(crate) fn offset(&self, address: usize) -> usize {
        address - self.shared.mapping.start().addr().get()
    }

    /// A cursor from `from` to `to`.
    pub(crate) fn cursor(&mut self, from: usize, to: usize) -> Cursor {
        assert!(from <= to && to <= self.capacity());
        // SAFETY: in bounds and initialised; the writer never makes a cursor over sealed bytes and keeps the
        // segment as long as the cursor.
        unsafe { Cursor::new(self.shared.mapping.start().add(from), to - from, 0) }
    }

    /// Bytes that the writer wrote.
    pub(crate) fn bytes(&self, from: usize, to: usize) -> &[u8] {
        &self.shared.mapping.bytes(to)[from..]
    }

    /// Makes `from..to` immutable and shared; the writer does not touch it again before `reset`.
    pub(crate) fn seal(&mut self, from: usize, to: usize, sample: Option<Sample>) -> Bytes {
        assert!(from < to && to <= self.capacity());
        let sealed = &self.shared.sealed;
        sealed.store(
            sealed.load(Ordering::Relaxed) + (to - from),
            Ordering::Relaxed,
        );
        Bytes::from_owner(Run {
            shared: shared_ptr(&self.shared),
            from,
            to,
            sample,
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let sealed = self.shared.sealed.load(Ordering::Relaxed);
        let keep = Arc::into_raw(self.shared.clone());
        let before = self
            .shared
            .returned
            .0
            .fetch_add(ORPHANED - sealed, Ordering::AcqRel);
        if before == sealed {
            // SAFETY: nobody reads the segment, so nobody else takes this count.
            drop(unsafe { Arc::from_raw(keep) });
        }
    }
}

/// Sealed bytes of a segment, owned by a `Bytes`.
struct Run {
    shared: NonNull<Shared>,
    from: usize,
    to: usize,
    sample: Option<Sample>,
}

// SAFETY: a run only reads immutable bytes and adds to an atomic word.
unsafe impl Send for Run {}

impl AsRef<[u8]> for Run {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the segment lives until this run has returned its bytes, and nobody writes sealed bytes.
        unsafe {
            let start = self.shared.as_ref().mapping.start().add(self.from);
            slice::from_raw_parts(start.as_ptr(), self.to - self.from)
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let len = self.to - self.from;
        // SAFETY: the segment is alive until the addition below.
        let shared = unsafe { self.shared.as_ref() };
        if let Some(sample) = self.sample.take() {
            shared.watch.ended(sample);
        }
        let returned = shared.returned.0.fetch_add(len, Ordering::AcqRel) + len;
        if returned == ORPHANED {
            // SAFETY: the owner left its count behind for exactly this run, the last one.
            drop(unsafe { Arc::from_raw(self.shared.as_ptr().cast_const()) });
        }
    }
}

fn shared_ptr(shared: &Arc<Shared>) -> NonNull<Shared> {
    // SAFETY: an `Arc` never points to null.
    unsafe { NonNull::new_unchecked(Arc::as_ptr(shared).cast_mut()) }
}
