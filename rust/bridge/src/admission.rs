//! Who may start: concurrency, queue length and the bytes that live handlers hold decoded.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::lock::{Mutex, MutexGuard};
use crate::stream::{StartRequest, StreamCore};

/// What an engine admits.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the names that users know them by")]
pub(crate) struct Places {
    pub(crate) max_concurrency: Option<usize>,
    pub(crate) max_queue: Option<usize>,
    pub(crate) max_held_bytes: usize,
}

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
    waiting: BTreeMap<u64, Box<StartRequest>>,
    last_ticket: u64,
}

/// The door of one engine. Nested calls pass it unasked, so that nesting cannot deadlock on its own limit.
pub(crate) struct Admission {
    places: Places,
    inner: Mutex<Inner>,
}

/// What became of a request for a place.
pub(crate) enum Entry {
    /// Start it now.
    Admitted(Box<StartRequest>),
    /// It waits; [`Admission::leave`] will name it.
    Waiting,
    /// The queue is full; why there is no place.
    Refused(Box<StartRequest>, String),
}

impl Admission {
    pub(crate) fn new(places: Places) -> Self {
        Self { places, inner: Mutex::new(Inner { ratio: FIRST_RATIO, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a place for `start`; a call that is part of another always gets one.
    pub(crate) fn enter(&self, start: Box<StartRequest>, nested: bool) -> Entry {
        if nested {
            return Entry::Admitted(start);
        }
        let mut inner = self.lock();
        if inner.waiting.is_empty() && inner.has_place(&self.places, &start) {
            inner.admit(&start);
            return Entry::Admitted(start);
        }
        if let Some(most) = self.places.max_queue
            && inner.waiting.len() >= most
        {
            let reason = format!("{}, {} of {most} wait (max_queue)", inner.running(&self.places), inner.waiting.len());
            return Entry::Refused(start, reason);
        }
        inner.last_ticket += 1;
        let ticket = inner.last_ticket;
        start.core.ticket.store(ticket, Ordering::Relaxed);
        inner.waiting.insert(ticket, start);
        Entry::Waiting
    }

    /// Takes a waiting request back; false: it is not waiting.
    pub(crate) fn withdraw(&self, core: &StreamCore) -> bool {
        let mut inner = self.lock();
        let start = inner.waiting.remove(&core.ticket.load(Ordering::Relaxed));
        drop(inner);
        start.is_some()
    }

    /// Replaces what was guessed for a stream's request by what its decoder counted, and names the waiting requests that
    /// now have a place.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn charge(&self, stream: &StreamCore, encoded: usize, decoded: usize) -> Vec<Box<StartRequest>> {
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
    pub(crate) fn leave(&self, stream: &StreamCore) -> Vec<Box<StartRequest>> {
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
        let mut over = Vec::new();
        let mut admitted = Vec::new();
        while let Some((ticket, start)) = inner.waiting.pop_first() {
            if start.core.is_released() {
                // It ended before it could wait; what it holds is dropped with the lock released.
                over.push(start);
                continue;
            }
            if !inner.has_place(&self.places, &start) {
                inner.waiting.insert(ticket, start);
                break;
            }
            inner.admit(&start);
            admitted.push(start);
        }
        drop(inner);
        drop(over);
        admitted
    }

    /// Takes all waiting requests out, to refuse them.
    #[expect(clippy::vec_box, reason = "the boxes move on as they are")]
    pub(crate) fn drain(&self) -> Vec<Box<StartRequest>> {
        std::mem::take(&mut self.lock().waiting).into_values().collect()
    }

    /// Requests waiting, and bytes held decoded.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.held)
    }
}

impl Inner {
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    fn weight(&self, start: &StartRequest) -> usize {
        (start.encoded_len() as f64 * self.ratio.max(1.0)) as usize
    }

    fn has_place(&self, places: &Places, start: &StartRequest) -> bool {
        let concurrency = places.max_concurrency.is_none_or(|most| self.live < most);
        let weight = self.weight(start);
        let memory = self.held == 0 || weight == 0 || self.held + weight <= places.max_held_bytes;
        concurrency && memory
    }

    /// What runs, with the setting that allows no more.
    fn running(&self, places: &Places) -> String {
        let Self { live, held, .. } = self;
        match places.max_concurrency.filter(|most| live >= most) {
            Some(most) => format!("{live} of {most} run (max_concurrency)"),
            None => {
                format!("{live} run and hold {held} of {} bytes of requests (max_held_bytes)", places.max_held_bytes)
            }
        }
    }

    fn admit(&mut self, start: &StartRequest) {
        self.live += 1;
        let weight = self.weight(start);
        self.held += weight;
        start.core.held.store(weight, Ordering::Relaxed);
        start.core.admitted.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("places", &self.places).finish_non_exhaustive()
    }
}
