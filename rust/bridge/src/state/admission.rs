//! Admission of calls: concurrency, the queue of waiting calls, and the bytes that live handlers hold decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use super::flow_settings::AdmissionLimits;
use super::start_request::StartRequest;
use super::stream_state::StreamState;
use crate::base::lock::{Mutex, MutexGuard, lock};

/// How strongly the ratio of decoded to encoded bytes follows the last request: one part in this many.
const RATIO_WEIGHT: f64 = 8.0;

/// Ratio before anything was decoded: what the decoder allows a large body at most.
const FIRST_RATIO: f64 = 8.0;

#[derive(Default)]
struct Inner {
    live: usize,
    held: usize,
    ratio: f64,
    /// By ticket, so that any of them can leave wherever it stands.
    waiting: BTreeMap<u64, Waiter>,
    /// Tickets of permits that have a place which their owners have not yet come to take.
    granted: BTreeSet<u64>,
    last_ticket: u64,
}

/// Who stands in the line.
enum Waiter {
    Call(Box<StartRequest>),
    /// Whom to wake once a permit has its place.
    Permit(Waker),
}

/// The admission of one engine. Nested calls take no place of it, so that nesting cannot deadlock on its own limit.
pub(crate) struct Admission {
    limits: AdmissionLimits,
    inner: Mutex<Inner>,
}

/// What became of a request for a place.
pub(crate) enum AdmissionOutcome {
    /// Start it now.
    Admitted(Box<StartRequest>),
    /// It waits; a later [`Admission::release`] names it.
    Waiting,
    /// The queue is full; why there is no place.
    Refused(Box<StartRequest>, String),
}

/// What became of the wish for a permit.
pub(crate) enum PermitOutcome {
    /// The place with this ticket is held.
    Granted(u64),
    /// It stands in the line with this ticket; its waker is called.
    Waiting(u64),
    /// The queue is full; why there is no place.
    Refused(String),
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Self {
        Self { limits, inner: Mutex::new(Inner { ratio: FIRST_RATIO, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Asks for a place for `start`; a call that is part of another always gets one.
    pub(crate) fn acquire(&self, start: Box<StartRequest>, nested: bool) -> AdmissionOutcome {
        if nested {
            return AdmissionOutcome::Admitted(start);
        }
        let mut inner = self.lock();
        if inner.waiting.is_empty() && inner.has_place(&self.limits, inner.estimate(&start)) {
            inner.admit(&start);
            return AdmissionOutcome::Admitted(start);
        }
        if let Some(reason) = inner.why_full(&self.limits) {
            return AdmissionOutcome::Refused(start, reason);
        }
        let ticket = inner.next_ticket();
        inner.wait(ticket, start);
        AdmissionOutcome::Waiting
    }

    /// Starts `start` in the place of the permit with `ticket`, which is over. A request too large for the memory that is free
    /// waits where the permit stood in the line, before all who came later.
    pub(crate) fn acquire_with_permit(&self, start: Box<StartRequest>, ticket: u64) -> AdmissionOutcome {
        let mut inner = self.lock();
        inner.live = inner.live.saturating_sub(1);
        let is_first = inner.waiting.first_key_value().is_none_or(|(first, _)| ticket < *first);
        if is_first && inner.has_place(&self.limits, inner.estimate(&start)) {
            inner.admit(&start);
            return AdmissionOutcome::Admitted(start);
        }
        inner.wait(ticket, start);
        AdmissionOutcome::Waiting
    }

    /// Asks for a place before there is a request; whoever calls [`Self::release_permit`] gives it back.
    pub(crate) fn acquire_permit(&self, waker: &Waker) -> PermitOutcome {
        let mut inner = self.lock();
        if inner.waiting.is_empty() && inner.has_place(&self.limits, 0) {
            inner.live += 1;
            return PermitOutcome::Granted(inner.next_ticket());
        }
        if let Some(reason) = inner.why_full(&self.limits) {
            return PermitOutcome::Refused(reason);
        }
        let ticket = inner.next_ticket();
        inner.waiting.insert(ticket, Waiter::Permit(waker.clone()));
        PermitOutcome::Waiting(ticket)
    }

    /// Whether the permit with `ticket`, which waits, has its place now; false: it left the line without one, and never will.
    pub(crate) fn poll_granted(&self, ticket: u64, waker: &Waker) -> Poll<bool> {
        let replaced;
        let mut inner = self.lock();
        match inner.waiting.get_mut(&ticket) {
            Some(Waiter::Permit(known)) => {
                // Wakers are foreign code: none is dropped under the lock.
                replaced = (!known.will_wake(waker)).then(|| std::mem::replace(known, waker.clone()));
            }
            _ => return Poll::Ready(inner.granted.remove(&ticket)),
        }
        drop(inner);
        drop(replaced);
        Poll::Pending
    }

    /// Takes the permit with `ticket`, which waits, out of the line; true: it had its place, which is to be returned.
    pub(crate) fn forget_permit(&self, ticket: u64) -> bool {
        let mut inner = self.lock();
        let (waiter, granted) = (inner.waiting.remove(&ticket), inner.granted.remove(&ticket));
        drop(inner);
        drop(waiter);
        granted
    }

    /// Gives back the place of a permit without a call, and names the waiting requests that now have one.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn release_permit(&self) -> Vec<Box<StartRequest>> {
        let mut inner = self.lock();
        inner.live = inner.live.saturating_sub(1);
        self.admit_waiting(inner)
    }

    /// Sends all away who wait for a permit: there will be no more calls.
    pub(crate) fn refuse_permits(&self) {
        let mut refused = Vec::new();
        self.lock().waiting.retain(|_, waiter| match waiter {
            Waiter::Call(_) => true,
            Waiter::Permit(waker) => {
                refused.push(std::mem::replace(waker, Waker::noop().clone()));
                false
            }
        });
        refused.into_iter().for_each(wake);
    }

    /// Takes a waiting request back, and names those that waited behind it and now have a place; `None`: it is not waiting.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn withdraw(&self, stream: &StreamState) -> Option<Vec<Box<StartRequest>>> {
        let mut inner = self.lock();
        let start = inner.waiting.remove(&stream.ticket.load(Ordering::Relaxed))?;
        let admitted = self.admit_waiting(inner);
        drop(start);
        Some(admitted)
    }

    /// Replaces what was guessed for a stream's request by what its decoder counted, and names the waiting requests that
    /// now have a place.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn charge(&self, stream: &StreamState, encoded: usize, decoded: usize) -> Vec<Box<StartRequest>> {
        let mut inner = self.lock();
        if !stream.admitted.load(Ordering::Acquire) {
            return Vec::new();
        }
        let guessed = stream.held.swap(decoded, Ordering::Relaxed);
        inner.held = inner.held.saturating_sub(guessed) + decoded;
        if encoded > 0 {
            inner.ratio += (decoded as f64 / encoded as f64 - inner.ratio) / RATIO_WEIGHT;
        }
        self.admit_waiting(inner)
    }

    /// Gives back the place that a stream holds, if it holds one, and names the waiting requests that now have one.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn release(&self, stream: &StreamState) -> Vec<Box<StartRequest>> {
        let mut inner = self.lock();
        if !stream.admitted.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        inner.live = inner.live.saturating_sub(1);
        inner.held = inner.held.saturating_sub(stream.held.load(Ordering::Relaxed));
        self.admit_waiting(inner)
    }

    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    fn admit_waiting(&self, mut inner: MutexGuard<'_, Inner>) -> Vec<Box<StartRequest>> {
        let (mut over, mut admitted, mut granted) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((ticket, waiter)) = inner.waiting.pop_first() {
            match waiter {
                // It ended before it could wait; what it holds is dropped with the lock released.
                Waiter::Call(start) if start.stream.is_released() => over.push(start),
                Waiter::Call(start) if inner.has_place(&self.limits, inner.estimate(&start)) => {
                    inner.admit(&start);
                    admitted.push(start);
                }
                Waiter::Permit(waker) if inner.has_place(&self.limits, 0) => {
                    inner.live += 1;
                    inner.granted.insert(ticket);
                    granted.push(waker);
                }
                waiter => {
                    inner.waiting.insert(ticket, waiter);
                    break;
                }
            }
        }
        drop(inner);
        drop(over);
        granted.into_iter().for_each(wake);
        admitted
    }

    /// Takes all waiting requests out, to refuse them, and sends those away who wait for a permit.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn drain(&self) -> Vec<Box<StartRequest>> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        let mut calls = Vec::new();
        for waiter in waiting.into_values() {
            match waiter {
                Waiter::Call(start) => calls.push(start),
                Waiter::Permit(waker) => wake(waker),
            }
        }
        calls
    }

    /// Requests and permits waiting, and bytes held decoded.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.held)
    }
}

impl Inner {
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    fn estimate(&self, start: &StartRequest) -> usize {
        (start.encoded_len() as f64 * self.ratio.max(1.0)) as usize
    }

    fn has_place(&self, limits: &AdmissionLimits, estimate: usize) -> bool {
        let concurrency = limits.max_concurrency.is_none_or(|most| self.live < most);
        let memory = self.held == 0 || estimate == 0 || self.held + estimate <= limits.max_held_bytes;
        concurrency && memory
    }

    /// What runs, with the setting that allows no more.
    fn running(&self, limits: &AdmissionLimits) -> String {
        let Self { live, held, .. } = self;
        match limits.max_concurrency.filter(|most| live >= most) {
            Some(most) => format!("{live} of {most} run (max_concurrency)"),
            None => {
                format!("{live} run and hold {held} of {} bytes of requests (max_held_bytes)", limits.max_held_bytes)
            }
        }
    }

    /// Why nobody may wait any more; `None`: there is room.
    fn why_full(&self, limits: &AdmissionLimits) -> Option<String> {
        let most = limits.max_queue.filter(|most| self.waiting.len() >= *most)?;
        Some(format!("{}, {} of {most} wait (max_queue)", self.running(limits), self.waiting.len()))
    }

    fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    fn wait(&mut self, ticket: u64, start: Box<StartRequest>) {
        start.stream.ticket.store(ticket, Ordering::Relaxed);
        self.waiting.insert(ticket, Waiter::Call(start));
    }

    fn admit(&mut self, start: &StartRequest) {
        self.live += 1;
        let estimate = self.estimate(start);
        self.held += estimate;
        start.stream.held.store(estimate, Ordering::Relaxed);
        start.stream.admitted.store(true, Ordering::Release);
    }
}

/// Wakes who waits for a permit. A panic in foreign code stops nothing of ours.
fn wake(waker: Waker) {
    drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
