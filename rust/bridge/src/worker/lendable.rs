//! A value that one thread works with in short pieces, and that other threads may borrow between two pieces. It knows
//! no Python: `rust/bridge/models` compiles this very file and checks every interleaving.
#![allow(unsafe_code)] // hands out what an atomic says that nobody else has

use super::sync::{AtomicU8, Ordering, UnsafeCell, wait};

const FREE: u8 = 0;
const WORKED: u8 = 1;
const LENT: u8 = 2;

/// The worker never waits for itself, and for others only as long as they look; others never wait.
///
/// One atomic exchange for each piece of work, half of what a mutex takes.
#[derive(Debug)]
pub(crate) struct Lendable<T> {
    state: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: whoever moved `state` away from `FREE` has the value alone until it is moved back, which orders what both did.
// `T: Send` lets the value be used on any thread.
unsafe impl<T: Send> Sync for Lendable<T> {}

impl<T> Lendable<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Runs `act` on the value; `None`: the calling thread is at work with it further up its stack.
    #[inline]
    pub(crate) fn work<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        if let Err(state) = self.state.compare_exchange(FREE, WORKED, Ordering::Acquire, Ordering::Relaxed)
            && !self.work_later(state)
        {
            return None;
        }
        Some(self.run(act))
    }

    /// Waits until the value is not lent; false: the caller has it already.
    #[cold]
    fn work_later(&self, mut state: u8) -> bool {
        let mut round = 0;
        while state == LENT && wait(round) {
            round += 1;
            match self.state.compare_exchange(FREE, WORKED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Runs `act` on the value unless the worker is at work with it: then `None`. The worker may have to wait for `act`.
    pub(crate) fn lend<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.state.compare_exchange(FREE, LENT, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(self.run(act))
    }

    #[inline]
    fn run<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let _release = Release(&self.state);
        // SAFETY: the caller has moved `state` away from `FREE`, and it is moved back when this has returned.
        self.value.with_mut(|value| act(unsafe { &mut *value }))
    }
}

/// Gives the value back, also when `act` panics.
struct Release<'a>(&'a AtomicU8);

impl Drop for Release<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(FREE, Ordering::Release);
    }
}
