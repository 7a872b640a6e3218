//! A stream's queue: batches on their way to one consumer, and then the ending.

use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, Waker};

use pybridge_pool::{Batch, Pool};

use super::credit::{CacheLine, Credit, Watermarks, charged_bytes};
use super::ending::Ending;
use super::wakers::Wakers;
use crate::base::fork;
use crate::base::lock::{Mutex, MutexGuard, lock};

/// Batches longer than this part of what they pin are within the pool's bound by themselves.
const WORTH_COPYING: usize = 4;

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

/// Written by the stream's driver (through outbox and dispatcher), read by its one consumer.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Queue {
    pub(crate) credit: Credit,
    inner: Mutex<Inner>,
    after: CacheLine,
}

impl Queue {
    pub(crate) fn new(watermarks: Watermarks) -> Self {
        Self { credit: Credit::new(watermarks), inner: Mutex::default(), after: CacheLine::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Adds frames for the consumer; the caller wakes what comes back. Calls `resume` as [`Credit::restore`] does if nobody
    /// will take them.
    #[must_use]
    pub(crate) fn push(&self, batch: Batch, resume: impl FnOnce()) -> Option<Waker> {
        let mut inner = self.lock();
        if inner.abandoned || inner.ending.is_some() {
            drop(inner);
            self.credit.restore(charged_bytes(&batch), batch.frames(), resume);
            return None;
        }
        if inner.next.is_none() {
            inner.next = Some(batch);
        } else {
            inner.later.push_back(batch);
        }
        if inner.is_patient && !self.credit.is_half_full() && !self.credit.is_paused() {
            None
        } else {
            inner.reader.take()
        }
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
        if fork::forked() {
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
        self.credit.abandon();
        let mut inner = self.lock();
        inner.abandoned = true;
        let batches = inner.next.take().into_iter().chain(mem::take(&mut inner.later));
        let reader = inner.reader.take();
        let unread = inner.ending.as_mut().map(Ending::hand_out);
        drop(inner);
        drop(unread);
        for batch in batches {
            self.credit.count_taken(charged_bytes(&batch), batch.frames());
        }
        self.credit.end_waiting(resume);
        reader
    }

    /// Replaces the memory of queued frames by exact copies, so that the segments they pin can go back to the pool. Stops after
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
