//! Tests of the admission: places, their order, and permits.
#![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::Duration;

use bytes::Bytes;
use pybridge_pool::{Pool, PoolConfig};
use pyo3::Python;
use pyo3::types::PyDict;

use super::*;
use crate::base::deferred_release::LoopOwned;
use crate::codec::{Framing, Limits};
use crate::state::credit::Watermarks;
use crate::state::{
    CallOptions, CommandSink, ConsumerKind, EngineHooks, EngineState, Flow, Flush, ItemCodec, Request, RequestCodec,
};
use crate::worker::Mailbox;

const OPEN: AdmissionLimits = AdmissionLimits { max_concurrency: None, max_queue: None, max_held_bytes: usize::MAX };

/// An engine's door, and what its calls are made of.
struct Door {
    engine: Arc<EngineState>,
    worker: Arc<dyn CommandSink>,
    object: Arc<LoopOwned>,
}

impl Door {
    fn new(limits: AdmissionLimits) -> Self {
        let watermarks = Watermarks { high_bytes: 1, low_bytes: 1, high_items: 1, low_items: 1 };
        let flow = Flow {
            flush: Flush::Turn,
            batch_items: 1,
            batch_bytes: 1,
            watermarks,
            write_timeout: None,
            cancel_grace: Duration::ZERO,
            abandon_timeout: None,
            admission: limits,
        };
        let pool = Pool::new(PoolConfig::default()).expect("the defaults are valid");
        let worker = Arc::new(Mailbox::new().expect("a descriptor")).sink();
        let object = Arc::new(LoopOwned::new(
            Python::attach(|py| PyDict::new(py).into_any().unbind()),
            Arc::<dyn CommandSink>::clone(&worker),
        ));
        let hooks = EngineHooks { begin: |_, _, _| unreachable!("no call of these begins"), leave: |_| {} };
        Self { engine: EngineState::new(String::new(), flow, Limits::default(), pool, hooks), worker, object }
    }

    fn admission(&self) -> &Admission {
        &self.engine.admission
    }

    /// A call whose request has so many bytes.
    #[expect(clippy::unnecessary_box_returns, reason = "the boxes move on as they are")]
    fn call(&self, len: usize) -> Box<StartRequest> {
        let (engine, worker) = (Arc::clone(&self.engine), Arc::clone(&self.worker));
        Box::new(StartRequest {
            stream: StreamState::new(engine, worker, CallOptions::default(), None, ConsumerKind::Rust),
            engine: Arc::clone(&self.object),
            request: Request::Encoded(Bytes::from(vec![0; len]), RequestCodec::Engine),
            codec: ItemCodec::Engine,
            context: None,
            framing: Framing::None,
        })
    }

    fn admitted(&self, len: usize) -> Arc<StreamState> {
        match self.admission().acquire(self.call(len), false) {
            AdmissionOutcome::Admitted(start) => start.stream,
            AdmissionOutcome::Waiting => panic!("it waits"),
            AdmissionOutcome::Refused(_, reason) => panic!("{reason}"),
        }
    }

    fn waiting(&self, len: usize) -> Arc<StreamState> {
        let start = self.call(len);
        let stream = Arc::clone(&start.stream);
        assert!(matches!(self.admission().acquire(start, false), AdmissionOutcome::Waiting));
        stream
    }

    fn refused(&self, len: usize) -> String {
        match self.admission().acquire(self.call(len), false) {
            AdmissionOutcome::Refused(_, reason) => reason,
            AdmissionOutcome::Admitted(_) | AdmissionOutcome::Waiting => panic!("it has a place"),
        }
    }

    /// The numbers of the streams that a stream's leaving lets in.
    fn release(&self, stream: &StreamState) -> Vec<u64> {
        ids(&self.admission().release(stream))
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that waits for a permit.
struct Asker {
    ticket: u64,
    woken: Arc<Woken>,
}

impl Door {
    fn granted(&self) -> u64 {
        match self.admission().acquire_permit(Waker::noop()) {
            PermitOutcome::Granted(ticket) => ticket,
            PermitOutcome::Waiting(_) => panic!("it waits"),
            PermitOutcome::Refused(reason) => panic!("{reason}"),
        }
    }

    fn asker(&self) -> Asker {
        let woken = Arc::new(Woken::default());
        match self.admission().acquire_permit(&Arc::clone(&woken).into()) {
            PermitOutcome::Waiting(ticket) => Asker { ticket, woken },
            PermitOutcome::Granted(_) | PermitOutcome::Refused(_) => panic!("there is a place, or no room to wait"),
        }
    }

    fn poll(&self, asker: &Asker) -> Poll<bool> {
        self.admission().poll_granted(asker.ticket, &Arc::clone(&asker.woken).into())
    }

    fn release_permit(&self) -> Vec<u64> {
        ids(&self.admission().release_permit())
    }
}

fn ids(starts: &[Box<StartRequest>]) -> Vec<u64> {
    starts.iter().map(|start| start.stream.id).collect()
}

/// Guarantee F-08.
#[test]
fn so_many_run_at_once_and_the_rest_follow_in_order() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(2), ..OPEN });
    let running = [door.admitted(0), door.admitted(0)];
    let waiting = [door.waiting(0), door.waiting(0), door.waiting(0)];
    assert_eq!(door.admission().counts(), (3, 0));
    assert_eq!(door.release(&running[0]), [waiting[0].id]);
    assert_eq!(door.release(&running[0]), [0; 0], "it held one place");
    assert_eq!(door.release(&waiting[0]), [waiting[1].id]);
    assert_eq!(door.release(&running[1]), [waiting[2].id]);
    assert_eq!((door.release(&waiting[1]), door.release(&waiting[2])), (vec![], vec![]));
    assert_eq!(door.admission().counts(), (0, 0));
    door.admitted(0);
    door.admitted(0);
    door.waiting(0);
}

/// Guarantee F-10.
#[test]
fn a_call_that_is_part_of_another_passes_and_holds_no_place() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), max_queue: Some(0), ..OPEN });
    let running = door.admitted(0);
    assert!(matches!(door.admission().acquire(door.call(9), true), AdmissionOutcome::Admitted(_)));
    assert_eq!(door.admission().counts(), (0, 0));
    door.release(&running);
    door.admitted(0);
}

#[test]
fn a_full_queue_refuses_with_what_keeps_it_full() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(2), max_queue: Some(1), max_held_bytes: 1000 });
    let first = door.admitted(100);
    door.waiting(100);
    assert_eq!(
        door.refused(0),
        "1 run and hold 800 of 1000 bytes of requests (max_held_bytes), 1 of 1 wait (max_queue)"
    );
    assert_eq!(door.release(&first).len(), 1);
    door.admitted(0);
    door.waiting(0);
    assert_eq!(door.refused(0), "2 of 2 run (max_concurrency), 1 of 1 wait (max_queue)");
}

/// Guarantee M-12.
#[test]
fn requests_hold_eight_times_their_length_until_they_are_decoded() {
    let door = Door::new(AdmissionLimits { max_held_bytes: 1000, ..OPEN });
    let first = door.admitted(100);
    let second = door.admitted(25);
    assert_eq!(door.admission().counts(), (0, 1000), "the limit itself is allowed");
    let third = door.waiting(1);
    let empty = door.waiting(0);
    assert_eq!(door.release(&second), [third.id, empty.id]);
    assert_eq!(door.admission().counts(), (0, 808));
    assert_eq!((door.release(&first), door.release(&third), door.release(&empty)), (vec![], vec![], vec![]));
    assert_eq!(door.admission().counts(), (0, 0));
}

#[test]
fn a_request_that_alone_is_over_the_limit_runs_alone() {
    let door = Door::new(AdmissionLimits { max_held_bytes: 1000, ..OPEN });
    let large = door.admitted(1000);
    door.admitted(0);
    let small = door.waiting(1);
    assert_eq!(door.release(&large), [small.id]);
}

#[test]
fn what_the_decoder_counted_replaces_the_guess_and_moves_the_next_one() {
    let door = Door::new(AdmissionLimits { max_held_bytes: 1000, ..OPEN });
    let first = door.admitted(100);
    let second = door.waiting(100);
    assert_eq!(ids(&door.admission().charge(&first, 100, 200)), [second.id]);
    let guess = 725; // a ratio of 8, moved an eighth of the way to 2
    assert_eq!(door.admission().counts(), (0, 200 + guess));
    assert_eq!(door.release(&first), [0; 0]);
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

/// Guarantee F-09.
#[test]
fn a_call_that_is_withdrawn_or_ended_while_it_waits_gets_no_place() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    let running = door.admitted(0);
    let waiting = [door.waiting(0), door.waiting(0), door.waiting(0)];
    assert!(door.admission().withdraw(&waiting[0]).is_some_and(|admitted| admitted.is_empty()));
    assert!(door.admission().withdraw(&waiting[0]).is_none() && door.admission().withdraw(&running).is_none());
    waiting[1].release();
    assert_eq!(door.admission().counts(), (2, 0));
    assert_eq!(door.release(&running), [waiting[2].id]);
}

#[test]
fn who_waited_behind_a_request_too_large_goes_on_once_that_is_withdrawn() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(3), max_held_bytes: 1000, ..OPEN });
    let running = door.admitted(100);
    let (large, small, permit, last) = (door.waiting(1000), door.waiting(10), door.asker(), door.waiting(0));
    let admitted = door.admission().withdraw(&large).expect("it waits");
    assert_eq!(ids(&admitted), [small.id]);
    assert_eq!((permit.woken.times(), door.poll(&permit)), (1, Poll::Ready(true)));
    assert_eq!(door.admission().counts().0, 1, "three places are taken");
    assert_eq!(door.release(&running), [last.id]);
}

#[test]
fn all_that_wait_are_drained_in_order() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    let running = door.admitted(0);
    let waiting = [door.waiting(0), door.waiting(0)];
    assert_eq!(ids(&door.admission().drain()), waiting.map(|stream| stream.id));
    assert_eq!(door.admission().counts(), (0, 0));
    assert_eq!(door.release(&running), [0; 0]);
}

#[test]
fn permits_and_calls_stand_in_one_line() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    door.granted();
    let (first, second, third) = (door.waiting(0), door.asker(), door.waiting(0));
    assert_eq!(door.admission().counts(), (3, 0));
    assert_eq!(door.release_permit(), [first.id]);
    assert!(door.poll(&second).is_pending());
    assert_eq!(door.release(&first), [0; 0], "the permit has the place");
    assert_eq!((second.woken.times(), door.poll(&second)), (1, Poll::Ready(true)));
    assert_eq!(door.release_permit(), [third.id]);
    assert_eq!(door.release(&third), [0; 0]);
    door.granted();
    door.asker();
}

#[test]
fn a_call_takes_the_place_of_its_permit() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), max_queue: Some(0), ..OPEN });
    let ticket = door.granted();
    door.refused(0);
    let AdmissionOutcome::Admitted(start) = door.admission().acquire_with_permit(door.call(0), ticket) else {
        panic!("it has a place")
    };
    door.refused(0);
    assert_eq!(door.release(&start.stream), [0; 0]);
    let running = door.admitted(0);
    assert!(
        matches!(door.admission().acquire_permit(Waker::noop()), PermitOutcome::Refused(reason) if reason.contains("1 of 1 run"))
    );
    assert_eq!(door.release(&running), [0; 0]);
    door.granted();
}

#[test]
fn a_request_too_large_for_the_memory_that_is_free_waits_where_its_permit_stood() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(3), max_held_bytes: 1000, ..OPEN });
    let large = door.admitted(100);
    let (first, second) = (door.granted(), door.granted());
    let later = door.waiting(0);
    let start = |ticket, len| {
        let start = door.call(len);
        let stream = Arc::clone(&start.stream);
        (door.admission().acquire_with_permit(start, ticket), stream)
    };
    let (entry, fits) = start(second, 25);
    assert!(matches!(entry, AdmissionOutcome::Admitted(_)));
    let (entry, waits) = start(first, 1);
    assert!(matches!(entry, AdmissionOutcome::Waiting));
    assert_eq!(door.release(&fits), [waits.id, later.id]);
    assert_eq!(door.admission().counts(), (0, 808));
    for stream in [large, waits, later] {
        assert_eq!(door.release(&stream), [0; 0]);
    }
    assert_eq!(door.admission().counts(), (0, 0));
}

#[test]
fn a_call_with_a_later_permit_does_not_pass_one_that_waits_for_memory() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(3), max_held_bytes: 1000, ..OPEN });
    let large = door.admitted(100);
    let (first, second) = (door.granted(), door.granted());
    let (waits, small) = (door.call(100), door.call(1));
    let expected = [waits.stream.id, small.stream.id];
    assert!(matches!(door.admission().acquire_with_permit(waits, first), AdmissionOutcome::Waiting));
    assert!(matches!(door.admission().acquire_with_permit(small, second), AdmissionOutcome::Waiting));
    assert_eq!(door.admission().counts(), (2, 800));
    assert_eq!(door.release(&large), expected);
}

#[test]
fn who_wants_no_permit_any_more_leaves_the_line_with_or_without_a_place() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    door.granted();
    let (gone, granted, last) = (door.asker(), door.asker(), door.asker());
    assert!(!door.admission().forget_permit(gone.ticket));
    assert_eq!(door.release_permit(), [0; 0]);
    assert_eq!((gone.woken.times(), granted.woken.times(), last.woken.times()), (0, 1, 0));
    assert!(door.admission().forget_permit(granted.ticket), "it had a place");
    assert_eq!(door.release_permit(), [0; 0]);
    assert_eq!((last.woken.times(), door.poll(&last)), (1, Poll::Ready(true)));
    assert!(!door.admission().forget_permit(last.ticket), "it has been taken");
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    door.granted();
    let Asker { ticket, woken: first } = door.asker();
    let asker = Asker { ticket, woken: Arc::default() };
    assert!(door.poll(&asker).is_pending());
    door.release_permit();
    assert_eq!((first.times(), asker.woken.times()), (0, 1));
}

#[test]
fn who_waits_for_a_permit_is_sent_away_when_there_are_no_more_calls() {
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    let running = door.admitted(0);
    let (call, permit) = (door.waiting(0), door.asker());
    door.engine.drain();
    assert_eq!((permit.woken.times(), door.poll(&permit)), (1, Poll::Ready(false)));
    let late = door.asker();
    assert_eq!(ids(&door.admission().drain()), [call.id], "calls that wait are not refused before that");
    assert_eq!((late.woken.times(), door.poll(&late)), (1, Poll::Ready(false)));
    assert_eq!(door.release(&running), [0; 0]);
}

#[test]
fn a_panic_of_a_waker_stops_neither_the_worker_nor_the_line() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the host");
        }
    }
    let door = Door::new(AdmissionLimits { max_concurrency: Some(1), ..OPEN });
    let running = door.admitted(0);
    let PermitOutcome::Waiting(ticket) = door.admission().acquire_permit(&Arc::new(Panics).into()) else {
        panic!("there is a place")
    };
    let next = door.waiting(0);
    assert_eq!(door.release(&running), [0; 0]);
    assert!(door.admission().forget_permit(ticket));
    assert_eq!(door.release_permit(), [next.id]);
}
