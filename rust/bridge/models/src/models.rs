//! A worker's inbox: who posts, the worker that takes, and its end.

use std::cell::Cell;

use loom::model;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::inbox::Inbox;

/// What the worker's loop sleeps on: readable from a notification until it is cleared.
#[derive(Default)]
struct Wakeup {
    readable: Mutex<bool>,
    changed: Condvar,
}

impl Wakeup {
    fn notify(&self) {
        *self.readable.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn clear(&self) {
        *self.readable.lock().unwrap() = false;
    }

    fn wait(&self) {
        let mut readable = self.readable.lock().unwrap();
        while !*readable {
            readable = self.changed.wait(readable).unwrap();
        }
    }
}

struct Worker {
    inbox: Inbox<Reference>,
    wakeup: Wakeup,
    /// Who waits for the next thread that may touch Python.
    orphans: Mutex<Vec<Reference>>,
    released: Arc<AtomicUsize>,
}

impl Worker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inbox: Inbox::new(),
            wakeup: Wakeup::default(),
            orphans: Mutex::new(Vec::new()),
            released: Arc::new(AtomicUsize::new(0)),
        })
    }

    fn orphan(&self, reference: Reference) {
        self.orphans.lock().unwrap().push(reference);
    }

    /// What the drop of a reference on another thread does.
    fn release(&self) {
        let reference = Reference(self.released.clone());
        let refused = self.inbox.post(reference, || self.wakeup.notify(), |lost| self.orphan(lost));
        if let Err(reference) = refused {
            self.orphan(reference);
        }
    }

    /// One call of the loop's reader: at most `limit` commands. Returns how many there were.
    fn serve(&self, limit: usize) -> usize {
        self.inbox.rearm(|| self.wakeup.clear());
        for taken in 0..limit {
            match self.inbox.take() {
                Some(reference) => drop(reference),
                None => return taken,
            }
        }
        self.inbox.nudge(|| self.wakeup.notify());
        limit
    }

    /// The loop, until so many commands were taken.
    fn run(&self, commands: usize, limit: usize) {
        attach();
        let mut taken = 0;
        while taken < commands {
            self.wakeup.wait();
            taken += self.serve(limit);
        }
    }

    fn close(&self) {
        self.inbox.close(|lost| self.orphan(lost));
    }

    fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }
}

/// A thread that drops so many references.
fn poster(worker: &Arc<Worker>, commands: usize) -> thread::JoinHandle<()> {
    let worker = worker.clone();
    thread::spawn(move || (0..commands).for_each(|_| worker.release()))
}

fn join<const N: usize>(threads: [thread::JoinHandle<()>; N]) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

loom::thread_local! {
    static ATTACHED: Cell<bool> = Cell::new(false);
}

fn attach() {
    ATTACHED.with(|attached| attached.set(true));
}

/// Stands for a Python reference: only a thread that may touch Python drops it.
struct Reference(Arc<AtomicUsize>);

impl Drop for Reference {
    fn drop(&mut self) {
        assert!(ATTACHED.with(Cell::get), "released on a thread that may not touch Python");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_post_wakes_a_worker_that_sleeps() {
    model(|| {
        let worker = Worker::new();
        let posters = [poster(&worker, 1), poster(&worker, 1)];
        worker.run(2, 1024);
        join(posters);
        assert_eq!(worker.released(), 2);
    });
}

#[test]
fn a_worker_that_stops_before_the_end_is_woken_for_the_rest() {
    model(|| {
        let worker = Worker::new();
        let poster = poster(&worker, 3);
        worker.run(3, 1);
        poster.join().unwrap();
        assert_eq!(worker.released(), 3);
    });
}

#[test]
fn posts_between_two_looks_are_one_wakeup() {
    model(|| {
        let worker = Worker::new();
        let wakeups = Arc::new(AtomicUsize::new(0));
        join([(); 2].map(|()| {
            let (worker, wakeups) = (worker.clone(), wakeups.clone());
            thread::spawn(move || {
                let wake = || assert_eq!(wakeups.fetch_add(1, Ordering::Relaxed), 0);
                let posted = worker.inbox.post(Reference(worker.released.clone()), wake, |lost| worker.orphan(lost));
                assert!(posted.is_ok());
            })
        }));
        assert_eq!(wakeups.load(Ordering::Relaxed), 1);
        attach();
        assert_eq!(worker.serve(1024), 2);
    });
}

#[test]
fn what_is_posted_while_the_worker_ends_is_released_at_home_or_by_the_next_python_thread() {
    model(|| {
        let worker = Worker::new();
        let posters = [poster(&worker, 1), poster(&worker, 1)];
        attach();
        worker.serve(1024);
        worker.close();
        join(posters);
        assert!(worker.inbox.take().is_none(), "left where nobody looks");
        let orphans = std::mem::take(&mut *worker.orphans.lock().unwrap());
        assert_eq!(worker.released() + orphans.len(), 2);
    });
}

#[test]
fn nothing_is_taken_in_after_the_end() {
    model(|| {
        let worker = Worker::new();
        let closer = {
            let worker = worker.clone();
            thread::spawn(move || worker.close())
        };
        let poster = poster(&worker, 2);
        closer.join().unwrap();
        poster.join().unwrap();
        worker.release();
        assert!(worker.inbox.take().is_none());
        attach();
        assert_eq!(worker.orphans.lock().unwrap().drain(..).count(), 3);
    });
}
