//! A stream's queue: batches on their way to one consumer, with byte credit for the producer.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use bytes::Bytes;
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
    batches: VecDeque<Batch>,
    ending: Option<Ending>,
    reader: Option<Waker>,
    /// Wait for the ending, whoever reads.
    closers: Wakers,
    abandoned: bool,
}

/// Written by the stream's driver (through the hand-over), read by its one consumer.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    bytes: AtomicUsize,
    items: AtomicUsize,
    paused: AtomicBool,
    /// How often the producer has waited for credit.
    pauses: AtomicUsize,
    abandoned: AtomicBool,
    marks: Marks,
}

impl Queue {
    pub(crate) fn new(marks: Marks) -> Self {
        Self {
            inner: Mutex::default(),
            bytes: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            pauses: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            marks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts frames as in flight; the producer calls this when it seals them.
    pub(crate) fn charge(&self, batch: &Batch) {
        self.bytes.fetch_add(weight(batch), Ordering::SeqCst);
        self.items.fetch_add(batch.frames(), Ordering::SeqCst);
    }

    /// Items and bytes that may still be added, `items` and `bytes` of them not yet charged; `None`: over a mark.
    pub(crate) fn spare(&self, items: usize, bytes: usize) -> Option<(usize, usize)> {
        let items = self.marks.high_items.checked_sub(self.items.load(Ordering::SeqCst) + items)?;
        let bytes = self.marks.high_bytes.checked_sub(self.bytes.load(Ordering::SeqCst) + bytes)?;
        Some((items, bytes))
    }

    fn is_low(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) <= self.marks.low_bytes
            && self.items.load(Ordering::SeqCst) <= self.marks.low_items
    }

    /// The producer is about to wait for credit; false: there is enough again, go on.
    pub(crate) fn pause(&self) -> bool {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        self.paused.store(true, Ordering::SeqCst);
        if (self.is_low() || self.is_abandoned()) && self.paused.swap(false, Ordering::SeqCst) {
            return false;
        }
        true
    }

    /// The producer no longer waits for credit, with or without it.
    pub(crate) fn unpause(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// True while the producer waits for credit.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// While the producer waits for credit: how often it has, and what is in flight. The same twice: nothing was taken.
    pub(crate) fn pause_state(&self) -> Option<(usize, usize, usize)> {
        let (bytes, items) = self.in_flight();
        self.paused.load(Ordering::SeqCst).then(|| (self.pauses.load(Ordering::SeqCst), bytes, items))
    }

    /// Counts frames as taken. Calls `resume` if the producer waits and may go on now.
    pub(crate) fn credit(&self, bytes: usize, items: usize, resume: impl FnOnce()) {
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.items.fetch_sub(items, Ordering::SeqCst);
        if self.paused.load(Ordering::SeqCst) && self.is_low() && self.paused.swap(false, Ordering::SeqCst) {
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
        inner.batches.push_back(batch);
        inner.reader.take()
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
        let mut inner = self.lock();
        if let Some(batch) = inner.batches.pop_front() {
            return Poll::Ready(Ok(batch));
        }
        if let Some(ending) = &mut inner.ending {
            return Poll::Ready(Err(ending.hand_out()));
        }
        let old = waker.and_then(|waker| inner.reader.replace(waker.clone()));
        drop(inner);
        drop(old);
        Poll::Pending
    }

    /// Nobody reads any more: drops what is queued and whatever comes later; the caller wakes what comes back. Calls
    /// `resume` if the producer waits: it may go on.
    #[must_use]
    pub(crate) fn abandon(&self, resume: impl FnOnce()) -> Option<Waker> {
        self.abandoned.store(true, Ordering::SeqCst);
        let mut inner = self.lock();
        inner.abandoned = true;
        let batches = mem::take(&mut inner.batches);
        let reader = inner.reader.take();
        let unread = inner.ending.as_mut().map(Ending::hand_out);
        drop(inner);
        drop(unread);
        for batch in batches {
            self.bytes.fetch_sub(weight(&batch), Ordering::SeqCst);
            self.items.fetch_sub(batch.frames(), Ordering::SeqCst);
        }
        if self.paused.swap(false, Ordering::SeqCst) {
            resume();
        }
        reader
    }

    /// True once the consumer has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// Replaces the memory of queued frames by exact copies, so that the segments they pin can go home. Stops after
    /// about `most` bytes; returns how many were copied.
    pub(crate) fn copy_out(&self, pool: &Pool, most: usize) -> usize {
        let mut copied = 0;
        for batch in &mut self.lock().batches {
            if copied >= most {
                break;
            }
            if batch.bytes().len() < batch.pins() / WORTH_COPYING {
                copied += pool.unpin(batch);
            }
        }
        copied
    }

    /// Bytes and items in flight.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.bytes.load(Ordering::Relaxed), self.items.load(Ordering::Relaxed))
    }
}

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

    /// Gives the batch's memory up.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
