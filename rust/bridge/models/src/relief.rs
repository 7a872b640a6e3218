//! A worker's items and the watcher that takes what a busy worker leaves: nothing is lost, nothing overtakes, and what the
//! last look missed wakes the watcher.

use loom::model;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::alarm::Alarm;
use crate::lendable::Lendable;

/// A worker's run, outbox and way out, locked in the order of the real ones.
struct Worker {
    writer: Lendable<Vec<u32>>,
    outbox: Mutex<Vec<u32>>,
    sent: Mutex<Vec<u32>>,
    alarm: Alarm,
    bell: AtomicBool,
}

impl Worker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            writer: Lendable::new(Vec::new()),
            outbox: Mutex::new(Vec::new()),
            sent: Mutex::new(Vec::new()),
            alarm: Alarm::new(AtomicBool::new(true)),
            bell: AtomicBool::new(false),
        })
    }

    /// The driver encodes an item; the first of a run wakes the watcher if that sleeps.
    fn make(&self, item: u32) {
        self.writer
            .work(|run| {
                run.push(item);
                if run.len() == 1 {
                    self.alarm.ring(|| self.bell.store(true, Ordering::Relaxed));
                }
            })
            .expect("not at work with it further up the stack");
    }

    fn park(&self, run: &mut Vec<u32>) {
        self.outbox.lock().unwrap().append(run);
    }

    fn send(&self) {
        let mut outbox = self.outbox.lock().unwrap();
        self.sent.lock().unwrap().append(&mut outbox);
    }

    /// The driver's step ends, and the loop's turn.
    fn end_turn(&self) {
        self.writer.work(|run| self.park(run)).expect("not at work with it further up the stack");
        self.send();
    }

    /// The watcher takes what there is.
    fn relieve(&self) {
        self.writer.lend(|run| self.park(run));
        self.send();
    }

    fn is_quiet(&self) -> bool {
        self.writer.lend(|run| run.is_empty()).unwrap_or(false) && self.outbox.lock().unwrap().is_empty()
    }
}

#[test]
fn items_go_in_order_and_once_whoever_sends_them() {
    model(|| {
        let worker = Worker::new();
        let watcher = {
            let worker = worker.clone();
            thread::spawn(move || worker.relieve())
        };
        worker.make(1);
        worker.make(2);
        worker.end_turn();
        worker.make(3);
        worker.end_turn();
        watcher.join().unwrap();
        assert_eq!(*worker.sent.lock().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn two_looks_at_once_do_not_mix_their_items() {
    model(|| {
        let worker = Worker::new();
        worker.make(1);
        let watcher = {
            let worker = worker.clone();
            thread::spawn(move || {
                worker.relieve();
                worker.relieve();
            })
        };
        worker.make(2);
        watcher.join().unwrap();
        worker.relieve();
        assert_eq!(*worker.sent.lock().unwrap(), [1, 2]);
    });
}

#[test]
fn an_item_before_a_handler_blocks_is_sent_though_the_watcher_was_going_to_sleep() {
    model(|| {
        let worker = Worker::new();
        let watcher = {
            let worker = worker.clone();
            thread::spawn(move || worker.alarm.may_sleep(|| worker.is_quiet()))
        };
        worker.make(1);
        // The handler blocks: only the watcher can send it.
        let sleeps = watcher.join().unwrap();
        assert!(!sleeps || worker.bell.load(Ordering::Relaxed), "nobody looks at it");
        worker.relieve();
        assert_eq!(*worker.sent.lock().unwrap(), [1]);
    });
}

#[test]
fn a_watcher_that_sleeps_is_woken_once() {
    model(|| {
        let workers = [Worker::new(), Worker::new()];
        let shared = Worker::new();
        assert!(shared.alarm.may_sleep(|| true));
        let rings = workers.map(|worker| {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut rung = 0;
                worker.writer.work(|_run| shared.alarm.ring(|| rung += 1));
                rung
            })
        });
        let rung: u32 = rings.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(rung, 1);
    });
}

#[test]
fn a_look_that_comes_back_to_the_worker_finds_it_at_work() {
    model(|| {
        let worker = Worker::new();
        let nested =
            worker.writer.work(|_run| (worker.writer.work(|_| ()).is_none(), worker.writer.lend(|_| ()).is_none()));
        assert_eq!(nested, Some((true, true)));
    });
}
