//! The credit of a stream's producer: what is in flight, against watermarks of bytes and items, and the wait for more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pybridge_pool::Batch;

/// What a frame counts beside its bytes: its share of queue and bookkeeping.
pub(crate) const FRAME_OVERHEAD: usize = 64;

/// Bytes that `batch` holds in flight.
pub(crate) fn charged_bytes(batch: &Batch) -> usize {
    batch.bytes().len() + FRAME_OVERHEAD * batch.frames()
}

/// When a producer pauses and resumes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watermarks {
    pub(crate) high_bytes: usize,
    pub(crate) low_bytes: usize,
    pub(crate) high_items: usize,
    pub(crate) low_items: usize,
}

/// All that was ever put in, and beside it what only the producer looks at.
///
/// What one side writes for every batch lies on lines of the memory that the other side need not touch for that: a line that
/// two processors write in turn costs each of them as much as ten lines of code. Bytes between them keep them apart, and no
/// alignment does: memory of a larger alignment than the allocator's own takes it several times as long.
#[derive(Debug)]
struct Made {
    /// Written under the lock of the outbox.
    bytes: AtomicUsize,
    items: AtomicUsize,
    watermarks: Watermarks,
}

/// All that was ever taken out, and whether the producer waits for more.
#[derive(Debug)]
struct Taken {
    bytes: AtomicUsize,
    items: AtomicUsize,
    paused: AtomicBool,
    /// How often the producer has waited for credit.
    pauses: AtomicUsize,
    abandoned: AtomicBool,
}

/// Charged by the producer's side, restored by the consumer's.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Credit {
    before: CacheLine,
    made: Made,
    between: CacheLine,
    taken: Taken,
}

/// As many bytes as a line of the memory.
#[derive(Debug, Default)]
pub(crate) struct CacheLine(#[expect(dead_code, reason = "nothing but its length counts")] [u64; 8]);

impl Credit {
    pub(crate) fn new(watermarks: Watermarks) -> Self {
        let made = Made { bytes: AtomicUsize::new(0), items: AtomicUsize::new(0), watermarks };
        let taken = Taken {
            bytes: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            pauses: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
        };
        Self { before: CacheLine::default(), made, between: CacheLine::default(), taken }
    }

    /// Counts frames as in flight; the producer's side calls this when it seals them, one thread at a time. True: they are
    /// the first.
    pub(crate) fn charge(&self, batch: &Batch) -> bool {
        let made = &self.made;
        let (bytes, items) = (made.bytes.load(Ordering::Relaxed), made.items.load(Ordering::Relaxed));
        made.bytes.store(bytes.wrapping_add(charged_bytes(batch)), Ordering::Release);
        made.items.store(items.wrapping_add(batch.frames()), Ordering::Release);
        items == 0
    }

    /// Items that were ever put in, and their bytes.
    #[cfg(feature = "tracing")]
    pub(crate) fn charged(&self) -> (usize, usize) {
        let (bytes, items) = (self.made.bytes.load(Ordering::Acquire), self.made.items.load(Ordering::Acquire));
        (items, bytes.wrapping_sub(items.wrapping_mul(FRAME_OVERHEAD)))
    }

    pub(crate) fn count_taken(&self, bytes: usize, items: usize) {
        self.taken.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.taken.items.fetch_add(items, Ordering::SeqCst);
    }

    /// Bytes that may be in flight.
    pub(crate) fn high_bytes(&self) -> usize {
        self.made.watermarks.high_bytes
    }

    /// Bytes and items in flight; one of them may be old, and is too much then.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        let taken = (self.taken.bytes.load(Ordering::SeqCst), self.taken.items.load(Ordering::SeqCst));
        let made = (self.made.bytes.load(Ordering::SeqCst), self.made.items.load(Ordering::SeqCst));
        (made.0.wrapping_sub(taken.0), made.1.wrapping_sub(taken.1))
    }

    /// Items and bytes that may still be added, `items` and `bytes` of them not yet charged; `None`: over a mark.
    pub(crate) fn remaining(&self, items: usize, bytes: usize) -> Option<(usize, usize)> {
        let (in_flight, watermarks) = (self.in_flight(), &self.made.watermarks);
        let items = watermarks.high_items.checked_sub(in_flight.1 + items)?;
        let bytes = watermarks.high_bytes.checked_sub(in_flight.0 + bytes)?;
        Some((items, bytes))
    }

    pub(crate) fn is_half_full(&self) -> bool {
        let ((bytes, items), watermarks) = (self.in_flight(), &self.made.watermarks);
        bytes >= watermarks.high_bytes / 2 || items >= watermarks.high_items / 2
    }

    fn is_low(&self) -> bool {
        let ((bytes, items), watermarks) = (self.in_flight(), &self.made.watermarks);
        bytes <= watermarks.low_bytes && items <= watermarks.low_items
    }

    /// The producer is about to wait for credit; false: there is enough again, go on.
    pub(crate) fn pause(&self) -> bool {
        self.taken.pauses.fetch_add(1, Ordering::SeqCst);
        self.taken.paused.store(true, Ordering::SeqCst);
        if (self.is_low() || self.is_abandoned()) && self.taken.paused.swap(false, Ordering::SeqCst) {
            return false;
        }
        true
    }

    /// The producer no longer waits for credit, with or without it.
    pub(crate) fn unpause(&self) {
        self.taken.paused.store(false, Ordering::SeqCst);
    }

    /// True while the producer waits for credit.
    pub(crate) fn is_paused(&self) -> bool {
        self.taken.paused.load(Ordering::Relaxed)
    }

    /// While the producer waits for credit: how often it has, and what is in flight. The same twice: nothing was taken.
    pub(crate) fn pause_state(&self) -> Option<(usize, usize, usize)> {
        let (bytes, items) = self.in_flight();
        self.taken.paused.load(Ordering::SeqCst).then(|| (self.taken.pauses.load(Ordering::SeqCst), bytes, items))
    }

    /// Counts frames as taken. Calls `resume` if the producer waits and may go on now.
    pub(crate) fn restore(&self, bytes: usize, items: usize, resume: impl FnOnce()) {
        self.count_taken(bytes, items);
        if self.taken.paused.load(Ordering::SeqCst) && self.is_low() && self.taken.paused.swap(false, Ordering::SeqCst)
        {
            resume();
        }
    }

    /// Nobody takes any more. Calls `resume` as [`Self::restore`] does: the producer that waits may go on.
    pub(crate) fn end_waiting(&self, resume: impl FnOnce()) {
        if self.taken.paused.swap(false, Ordering::SeqCst) {
            resume();
        }
    }

    /// From now on the producer waits for nobody.
    pub(crate) fn abandon(&self) {
        self.taken.abandoned.store(true, Ordering::SeqCst);
    }

    /// True once the consumer has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.taken.abandoned.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_is_put_in_is_in_flight_until_it_is_taken_and_is_counted_for_good() {
        let credit = Credit::new(Watermarks { high_bytes: 1000, low_bytes: 500, high_items: 10, low_items: 5 });
        assert_eq!((credit.high_bytes(), credit.in_flight()), (1000, (0, 0)));
        assert!(credit.charge(&Batch::single(Bytes::from_static(b"the first"))), "nothing was put in before");
        assert!(!credit.charge(&Batch::single(Bytes::from_static(b"another"))));
        credit.count_taken(9 + FRAME_OVERHEAD, 1);
        assert_eq!(credit.in_flight(), (7 + FRAME_OVERHEAD, 1));
        assert!(
            !credit.charge(&Batch::single(Bytes::new())),
            "it is not the first, though less is in flight than before"
        );
        #[cfg(feature = "tracing")]
        assert_eq!(credit.charged(), (3, 16));
    }
}
