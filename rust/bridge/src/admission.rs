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

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use pybridge_pool::{Pool, PoolConfig};
    use pyo3::Python;
    use pyo3::types::PyDict;

    use super::*;
    use crate::codec::{Framing, Limits};
    use crate::engine::{EngineCore, Flow, Flush};
    use crate::stream::{CallOptions, Marks, Request, RequestCodec};
    use crate::worker::{Deferred, Mailbox};

    const OPEN: Places = Places { max_concurrency: None, max_queue: None, max_held_bytes: usize::MAX };

    /// An engine's door, and what its calls are made of.
    struct Door {
        engine: Arc<EngineCore>,
        home: Arc<Mailbox>,
        object: Arc<Deferred>,
    }

    impl Door {
        fn new(places: Places) -> Self {
            let marks = Marks { high_bytes: 1, low_bytes: 1, high_items: 1, low_items: 1 };
            let flow = Flow {
                flush: Flush::Turn,
                batch_items: 1,
                batch_bytes: 1,
                marks,
                write_timeout: None,
                cancel_grace: Duration::ZERO,
                abandon_timeout: None,
                places,
            };
            let pool = Pool::new(PoolConfig::default()).expect("the defaults are valid");
            let home = Arc::new(Mailbox::new().expect("a descriptor"));
            let object =
                Arc::new(Deferred::new(Python::attach(|py| PyDict::new(py).into_any().unbind()), Arc::clone(&home)));
            Self { engine: EngineCore::new(String::new(), flow, Limits::default(), pool), home, object }
        }

        fn admission(&self) -> &Admission {
            &self.engine.admission
        }

        /// A call whose request has so many bytes.
        #[expect(clippy::unnecessary_box_returns, reason = "the door takes boxes")]
        fn call(&self, len: usize) -> Box<StartRequest> {
            let (engine, home) = (Arc::clone(&self.engine), Arc::clone(&self.home));
            Box::new(StartRequest {
                core: StreamCore::new(engine, home, CallOptions::default(), None, false),
                engine: Arc::clone(&self.object),
                request: Request::Encoded(Bytes::from(vec![0; len]), RequestCodec::Engine),
                codec: None,
                context: None,
                framing: Framing::None,
            })
        }

        fn admitted(&self, len: usize) -> Arc<StreamCore> {
            match self.admission().enter(self.call(len), false) {
                Entry::Admitted(start) => start.core,
                Entry::Waiting => panic!("it waits"),
                Entry::Refused(_, reason) => panic!("{reason}"),
            }
        }

        fn waiting(&self, len: usize) -> Arc<StreamCore> {
            let start = self.call(len);
            let core = Arc::clone(&start.core);
            assert!(matches!(self.admission().enter(start, false), Entry::Waiting));
            core
        }

        fn refused(&self, len: usize) -> String {
            match self.admission().enter(self.call(len), false) {
                Entry::Refused(_, reason) => reason,
                Entry::Admitted(_) | Entry::Waiting => panic!("it has a place"),
            }
        }

        /// The numbers of the streams that a stream's leaving lets in.
        fn leave(&self, stream: &StreamCore) -> Vec<u64> {
            ids(&self.admission().leave(stream))
        }
    }

    fn ids(starts: &[Box<StartRequest>]) -> Vec<u64> {
        starts.iter().map(|start| start.core.id).collect()
    }

    #[test]
    fn so_many_run_at_once_and_the_rest_follow_in_order() {
        let door = Door::new(Places { max_concurrency: Some(2), ..OPEN });
        let running = [door.admitted(0), door.admitted(0)];
        let waiting = [door.waiting(0), door.waiting(0), door.waiting(0)];
        assert_eq!(door.admission().counts(), (3, 0));
        assert_eq!(door.leave(&running[0]), [waiting[0].id]);
        assert_eq!(door.leave(&running[0]), [0; 0], "it held one place");
        assert_eq!(door.leave(&waiting[0]), [waiting[1].id]);
        assert_eq!(door.leave(&running[1]), [waiting[2].id]);
        assert_eq!((door.leave(&waiting[1]), door.leave(&waiting[2])), (vec![], vec![]));
        assert_eq!(door.admission().counts(), (0, 0));
        door.admitted(0);
        door.admitted(0);
        door.waiting(0);
    }

    #[test]
    fn a_call_that_is_part_of_another_passes_and_holds_no_place() {
        let door = Door::new(Places { max_concurrency: Some(1), max_queue: Some(0), ..OPEN });
        let running = door.admitted(0);
        assert!(matches!(door.admission().enter(door.call(9), true), Entry::Admitted(_)));
        assert_eq!(door.admission().counts(), (0, 0));
        door.leave(&running);
        door.admitted(0);
    }

    #[test]
    fn a_full_queue_refuses_with_what_keeps_it_full() {
        let door = Door::new(Places { max_concurrency: Some(2), max_queue: Some(1), max_held_bytes: 1000 });
        let first = door.admitted(100);
        door.waiting(100);
        assert_eq!(
            door.refused(0),
            "1 run and hold 800 of 1000 bytes of requests (max_held_bytes), 1 of 1 wait (max_queue)"
        );
        assert_eq!(door.leave(&first).len(), 1);
        door.admitted(0);
        door.waiting(0);
        assert_eq!(door.refused(0), "2 of 2 run (max_concurrency), 1 of 1 wait (max_queue)");
    }

    #[test]
    fn requests_hold_eight_times_their_length_until_they_are_decoded() {
        let door = Door::new(Places { max_held_bytes: 1000, ..OPEN });
        let first = door.admitted(100);
        let second = door.admitted(25);
        assert_eq!(door.admission().counts(), (0, 1000), "the limit itself is allowed");
        let third = door.waiting(1);
        let empty = door.waiting(0);
        assert_eq!(door.leave(&second), [third.id, empty.id]);
        assert_eq!(door.admission().counts(), (0, 808));
        assert_eq!((door.leave(&first), door.leave(&third), door.leave(&empty)), (vec![], vec![], vec![]));
        assert_eq!(door.admission().counts(), (0, 0));
    }

    #[test]
    fn a_request_that_alone_is_over_the_limit_runs_alone() {
        let door = Door::new(Places { max_held_bytes: 1000, ..OPEN });
        let large = door.admitted(1000);
        door.admitted(0);
        let small = door.waiting(1);
        assert_eq!(door.leave(&large), [small.id]);
    }

    #[test]
    fn what_the_decoder_counted_replaces_the_guess_and_moves_the_next_one() {
        let door = Door::new(Places { max_held_bytes: 1000, ..OPEN });
        let first = door.admitted(100);
        let second = door.waiting(100);
        assert_eq!(ids(&door.admission().charge(&first, 100, 200)), [second.id]);
        let guess = 725; // a ratio of 8, moved an eighth of the way to 2
        assert_eq!(door.admission().counts(), (0, 200 + guess));
        assert_eq!(door.leave(&first), [0; 0]);
        assert_eq!(door.admission().counts(), (0, guess));
        assert!(door.admission().charge(&first, 100, 5000).is_empty(), "it has left");
        assert!(door.admission().charge(&second, 0, 10).is_empty(), "nothing to learn from no bytes");
        assert_eq!(door.admission().counts(), (0, 10));
        let third = door.admitted(100);
        assert_eq!(door.admission().counts(), (0, 10 + guess));
        for _ in 0..100 {
            door.admission().charge(&third, 100, 10);
        }
        door.admitted(100);
        assert_eq!(door.admission().counts(), (0, 10 + 10 + 100), "objects are never smaller than their message");
    }

    #[test]
    fn a_call_that_is_withdrawn_or_ended_while_it_waits_gets_no_place() {
        let door = Door::new(Places { max_concurrency: Some(1), ..OPEN });
        let running = door.admitted(0);
        let waiting = [door.waiting(0), door.waiting(0), door.waiting(0)];
        assert!(door.admission().withdraw(&waiting[0]));
        assert!(!door.admission().withdraw(&waiting[0]) && !door.admission().withdraw(&running));
        waiting[1].release();
        assert_eq!(door.admission().counts(), (2, 0));
        assert_eq!(door.leave(&running), [waiting[2].id]);
    }

    #[test]
    fn all_that_wait_are_drained_in_order() {
        let door = Door::new(Places { max_concurrency: Some(1), ..OPEN });
        let running = door.admitted(0);
        let waiting = [door.waiting(0), door.waiting(0)];
        assert_eq!(ids(&door.admission().drain()), waiting.map(|core| core.id));
        assert_eq!(door.admission().counts(), (0, 0));
        assert_eq!(door.leave(&running), [0; 0]);
    }
}
