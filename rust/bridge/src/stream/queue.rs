//! A stream's queue: batches on their way to one consumer, with byte credit for the producer.

use std::collections::VecDeque;
use std::mem;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use pybridge_pool::{Batch, Pool};

use super::ending::Ending;
use super::wakers::Wakers;

use crate::lock::{Mutex, MutexGuard};
use crate::runtime;

/// What a frame counts beside its bytes: its share of queue and bookkeeping.
pub(crate) const FRAME_OVERHEAD: usize = 64;

/// Batches longer than this part of what they pin are within the pool's bound by themselves.
const WORTH_COPYING: usize = 4;

/// Bytes that `batch` holds in flight.
pub(crate) fn weight(batch: &Batch) -> usize {
    batch.bytes().len() + FRAME_OVERHEAD * batch.frames()
}

/// When a producer pauses and resumes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) high_bytes: usize,
    pub(crate) low_bytes: usize,
    pub(crate) high_items: usize,
    pub(crate) low_items: usize,
}

#[derive(Debug, Default)]
struct Inner {
    /// The next batch lies here, and mostly is the only one: so it needs no memory elsewhere.
    next: Option<Batch>,
    later: VecDeque<Batch>,
    ending: Option<Ending>,
    reader: Option<Waker>,
    /// The reader is woken by the ending, or when the producer waits for credit or soon will, and not by each batch.
    is_patient: bool,
    /// Wait for the ending, whoever reads.
    closers: Wakers,
    abandoned: bool,
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
    marks: Marks,
}

/// All that was ever taken out, and what the consumer looks at.
#[derive(Debug)]
struct Taken {
    inner: Mutex<Inner>,
    bytes: AtomicUsize,
    items: AtomicUsize,
    paused: AtomicBool,
    /// How often the producer has waited for credit.
    pauses: AtomicUsize,
    abandoned: AtomicBool,
}

/// Written by the stream's driver (through the hand-over), read by its one consumer.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Queue {
    before: Apart,
    made: Made,
    between: Apart,
    taken: Taken,
    after: Apart,
}

/// As many bytes as a line of the memory.
#[derive(Debug, Default)]
struct Apart(#[expect(dead_code, reason = "nothing but its length counts")] [u64; 8]);

impl Queue {
    pub(crate) fn new(marks: Marks) -> Self {
        let made = Made { bytes: AtomicUsize::new(0), items: AtomicUsize::new(0), marks };
        let taken = Taken {
            inner: Mutex::default(),
            bytes: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            pauses: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
        };
        Self { before: Apart::default(), made, between: Apart::default(), taken, after: Apart::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.taken.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts frames as in flight; the producer's side calls this when it seals them, one thread at a time. True: they are
    /// the first.
    pub(crate) fn charge(&self, batch: &Batch) -> bool {
        let made = &self.made;
        let (bytes, items) = (made.bytes.load(Ordering::Relaxed), made.items.load(Ordering::Relaxed));
        made.bytes.store(bytes.wrapping_add(weight(batch)), Ordering::Release);
        made.items.store(items.wrapping_add(batch.frames()), Ordering::Release);
        items == 0
    }

    /// Items that were ever put in, and their bytes.
    #[cfg(feature = "tracing")]
    pub(crate) fn made(&self) -> (usize, usize) {
        let (bytes, items) = (self.made.bytes.load(Ordering::Acquire), self.made.items.load(Ordering::Acquire));
        (items, bytes.wrapping_sub(items.wrapping_mul(FRAME_OVERHEAD)))
    }

    fn count_taken(&self, bytes: usize, items: usize) {
        self.taken.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.taken.items.fetch_add(items, Ordering::SeqCst);
    }

    /// Bytes that may be in flight.
    pub(crate) fn high_bytes(&self) -> usize {
        self.made.marks.high_bytes
    }

    /// Bytes and items in flight; one of them may be old, and is too much then.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        let taken = (self.taken.bytes.load(Ordering::SeqCst), self.taken.items.load(Ordering::SeqCst));
        let made = (self.made.bytes.load(Ordering::SeqCst), self.made.items.load(Ordering::SeqCst));
        (made.0.wrapping_sub(taken.0), made.1.wrapping_sub(taken.1))
    }

    /// Items and bytes that may still be added, `items` and `bytes` of them not yet charged; `None`: over a mark.
    pub(crate) fn spare(&self, items: usize, bytes: usize) -> Option<(usize, usize)> {
        let (in_flight, marks) = (self.in_flight(), &self.made.marks);
        let items = marks.high_items.checked_sub(in_flight.1 + items)?;
        let bytes = marks.high_bytes.checked_sub(in_flight.0 + bytes)?;
        Some((items, bytes))
    }

    fn is_half_full(&self) -> bool {
        let ((bytes, items), marks) = (self.in_flight(), &self.made.marks);
        bytes >= marks.high_bytes / 2 || items >= marks.high_items / 2
    }

    fn is_low(&self) -> bool {
        let ((bytes, items), marks) = (self.in_flight(), &self.made.marks);
        bytes <= marks.low_bytes && items <= marks.low_items
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
    pub(crate) fn credit(&self, bytes: usize, items: usize, resume: impl FnOnce()) {
        self.count_taken(bytes, items);
        if self.taken.paused.load(Ordering::SeqCst) && self.is_low() && self.taken.paused.swap(false, Ordering::SeqCst)
        {
            resume();
        }
    }

    /// Adds frames for the consumer; the caller wakes what comes back. Calls `resume` as [`Self::credit`] does if nobody
    /// will take them.
    #[must_use]
    pub(crate) fn push(&self, batch: Batch, resume: impl FnOnce()) -> Option<Waker> {
        let mut inner = self.lock();
        if inner.abandoned || inner.ending.is_some() {
            drop(inner);
            self.credit(weight(&batch), batch.frames(), resume);
            return None;
        }
        if inner.next.is_none() {
            inner.next = Some(batch);
        } else {
            inner.later.push_back(batch);
        }
        if inner.is_patient && !self.is_half_full() && !self.is_paused() { None } else { inner.reader.take() }
    }

    /// The reader, if it has time: the producer waits for credit now, which nobody else gives. The caller wakes it.
    #[must_use]
    pub(crate) fn take_patient_reader(&self) -> Option<Waker> {
        let mut inner = self.lock();
        if inner.is_patient { inner.reader.take() } else { None }
    }

    /// Ends the stream after what is queued; the caller wakes what comes back. `None`: it has an ending already.
    #[must_use]
    pub(crate) fn end(&self, mut ending: Ending) -> Option<Vec<Waker>> {
        let mut inner = self.lock();
        if inner.ending.is_some() {
            drop(inner);
            drop(ending);
            return None;
        }
        let unread = inner.abandoned.then(|| ending.hand_out());
        inner.ending = Some(ending);
        let mut wakers = inner.closers.take();
        wakers.extend(inner.reader.take());
        drop(inner);
        drop(unread);
        Some(wakers)
    }

    /// True once the stream has ended; else `waker` is called when it does.
    pub(crate) fn is_over_or_wake(&self, waker: Option<&Waker>) -> bool {
        let mut inner = self.lock();
        if inner.ending.is_none()
            && let Some(waker) = waker
        {
            inner.closers.add(waker);
        }
        inner.ending.is_some()
    }

    /// Whoever has this waker waits for the ending no more.
    pub(crate) fn forget_closer(&self, waker: &Waker) {
        let removed = self.lock().closers.remove(waker);
        drop(removed);
    }

    /// Looks at the ending, if there is one. The collector may call this: whoever holds the lock, on whatever thread, only
    /// moves values under it, so it never waits for the interpreter, and drops nothing that may own a Python reference.
    ///
    /// To try the lock instead would be wrong: an ending that one pass of a collection sees and the next does not would
    /// be taken for garbage. In the child of a fork a thread that is no more may hold the lock: nothing is seen there.
    pub(crate) fn peek_ending<R>(&self, look: impl FnOnce(&Ending) -> R) -> Option<R> {
        if runtime::forked() {
            return None;
        }
        self.lock().ending.as_ref().map(look)
    }

    /// True once an ending has been set.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ending.is_some()
    }

    /// The next batch, or the ending once the batches are out; else `waker` is called when there is one.
    pub(crate) fn poll(&self, waker: Option<&Waker>) -> Poll<Result<Batch, Ending>> {
        self.poll_as(waker, false, Ending::hand_out)
    }

    /// The next batch, `None` once there is nothing left but the ending, which stays. Else `waker` is called: at the next
    /// batch, or for a patient consumer at the ending, when half of what may be in flight is, or when the producer waits.
    pub(crate) fn poll_batch(&self, waker: Option<&Waker>, is_patient: bool) -> Poll<Option<Batch>> {
        self.poll_as(waker, is_patient, |_ending| ()).map(Result::ok)
    }

    fn poll_as<E>(
        &self,
        waker: Option<&Waker>,
        is_patient: bool,
        ended: impl FnOnce(&mut Ending) -> E,
    ) -> Poll<Result<Batch, E>> {
        let mut inner = self.lock();
        if let Some(batch) = inner.next.take() {
            inner.next = inner.later.pop_front();
            return Poll::Ready(Ok(batch));
        }
        if let Some(ending) = &mut inner.ending {
            return Poll::Ready(Err(ended(ending)));
        }
        inner.is_patient = is_patient;
        let old = waker.and_then(|waker| inner.reader.replace(waker.clone()));
        drop(inner);
        drop(old);
        Poll::Pending
    }

    /// Nobody reads any more: drops what is queued and whatever comes later; the caller wakes what comes back. Calls
    /// `resume` if the producer waits: it may go on.
    #[must_use]
    pub(crate) fn abandon(&self, resume: impl FnOnce()) -> Option<Waker> {
        self.taken.abandoned.store(true, Ordering::SeqCst);
        let mut inner = self.lock();
        inner.abandoned = true;
        let batches = inner.next.take().into_iter().chain(mem::take(&mut inner.later));
        let reader = inner.reader.take();
        let unread = inner.ending.as_mut().map(Ending::hand_out);
        drop(inner);
        drop(unread);
        for batch in batches {
            self.count_taken(weight(&batch), batch.frames());
        }
        if self.taken.paused.swap(false, Ordering::SeqCst) {
            resume();
        }
        reader
    }

    /// True once the consumer has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.taken.abandoned.load(Ordering::SeqCst)
    }

    /// Replaces the memory of queued frames by exact copies, so that the segments they pin can go home. Stops after
    /// about `most` bytes; returns how many were copied.
    pub(crate) fn copy_out(&self, pool: &Pool, most: usize) -> usize {
        let mut copied = 0;
        let mut inner = self.lock();
        let Inner { next, later, .. } = &mut *inner;
        for batch in next.iter_mut().chain(later) {
            if copied >= most {
                break;
            }
            if batch.bytes().len() < batch.pins() / WORTH_COPYING {
                copied += pool.unpin(batch);
            }
        }
        copied
    }
}

#[cfg(test)]
mod tests;
