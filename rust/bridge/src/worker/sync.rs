//! Atomics, cells and waits for [`inbox`](super::inbox), [`lendable`](super::lendable) and [`alarm`](super::alarm);
//! their models have loom's instead.
use std::cell;
use std::hint;
use std::thread;

pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

pub(super) use crossbeam_queue::SegQueue;

/// Rounds of waiting on the processor: another thread's look takes less.
const SPINS: u32 = 64;

/// As std's, with the interface of loom's.
#[derive(Debug)]
pub(super) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(super) fn with_mut<R>(&self, act: impl FnOnce(*mut T) -> R) -> R {
        act(self.0.get())
    }
}

/// Waits a little for another thread; false: it will not come back, since this is a child that was forked without it.
pub(super) fn wait(round: u32) -> bool {
    if round < SPINS {
        hint::spin_loop();
    } else {
        thread::yield_now();
    }
    !crate::base::fork::forked()
}
