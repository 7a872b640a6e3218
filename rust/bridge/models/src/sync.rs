//! Loom's primitives, and a queue of them in the place of the real one.

pub(super) use loom::cell::UnsafeCell;
pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

/// Commands that a model may post.
const SLOTS: usize = 4;

/// Waits for another thread.
pub(super) fn wait(_round: u32) -> bool {
    thread::yield_now();
    true
}

/// A queue with the orderings of crossbeam's: a push claims the tail and then fills the slot, a pop looks at the tail behind
/// a fence, claims the head, and waits for its slot.
pub(super) struct SegQueue<T> {
    slots: [Mutex<Option<T>>; SLOTS],
    head: AtomicUsize,
    tail: AtomicUsize,
}

impl<T> SegQueue<T> {
    pub(super) fn new() -> Self {
        let slots = std::array::from_fn(|_| Mutex::new(None));
        Self { slots, head: AtomicUsize::new(0), tail: AtomicUsize::new(0) }
    }

    pub(super) fn push(&self, value: T) {
        let slot = self.tail.fetch_add(1, Ordering::SeqCst);
        *self.slots[slot].lock().unwrap() = Some(value);
    }

    pub(super) fn pop(&self) -> Option<T> {
        loop {
            let head = self.head.load(Ordering::Acquire);
            fence(Ordering::SeqCst);
            if head == self.tail.load(Ordering::Relaxed) {
                return None;
            }
            if self.head.compare_exchange(head, head + 1, Ordering::SeqCst, Ordering::Acquire).is_ok() {
                return Some(self.filled(head));
            }
        }
    }

    fn filled(&self, slot: usize) -> T {
        loop {
            if let Some(value) = self.slots[slot].lock().unwrap().take() {
                return value;
            }
            thread::yield_now();
        }
    }
}
