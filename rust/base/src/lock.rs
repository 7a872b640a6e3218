//! The bridge's mutexes. Debug builds count those that a thread holds: none may be held while Python runs.
//!
//! A thread that is in Python may wait for the interpreter while another one that has it waits for the mutex, and it
//! may never come back: it is parked when the interpreter goes.

use std::sync::PoisonError;
#[cfg(not(debug_assertions))]
pub use std::sync::{Mutex, MutexGuard};

#[cfg(debug_assertions)]
pub use counted::{Mutex, MutexGuard};

/// Locks a mutex; where a thread has panicked with it, as that left it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics, in debug builds, if the calling thread holds a mutex of the bridge; called where Python comes in.
#[inline]
pub fn assert_none_held() {
    #[cfg(debug_assertions)]
    assert_eq!(counted::held(), 0, "Python runs while a mutex is held");
}

#[cfg(debug_assertions)]
mod counted {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};
    use std::sync::{self, LockResult, PoisonError, TryLockError, TryLockResult};

    thread_local! {
        static HELD: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn held() -> usize {
        HELD.get()
    }

    /// As std's.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(sync::Mutex<T>);

    /// As std's.
    #[derive(Debug)]
    pub struct MutexGuard<'a, T>(sync::MutexGuard<'a, T>);

    impl<T> Mutex<T> {
        /// As that of `std`.
        pub const fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        /// As that of `std`.
        ///
        /// # Errors
        /// A thread panicked with it.
        pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            self.0
                .lock()
                .map(MutexGuard::of)
                .map_err(|poisoned| PoisonError::new(MutexGuard::of(poisoned.into_inner())))
        }

        /// As that of `std`.
        ///
        /// # Errors
        /// As there.
        pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
            self.0.try_lock().map(MutexGuard::of).map_err(|error| match error {
                TryLockError::WouldBlock => TryLockError::WouldBlock,
                TryLockError::Poisoned(poisoned) => PoisonError::new(MutexGuard::of(poisoned.into_inner())).into(),
            })
        }

        /// As that of `std`.
        ///
        /// # Errors
        /// A thread panicked with it.
        pub fn get_mut(&mut self) -> LockResult<&mut T> {
            self.0.get_mut()
        }
    }

    impl<'a, T> MutexGuard<'a, T> {
        fn of(guard: sync::MutexGuard<'a, T>) -> Self {
            HELD.set(HELD.get() + 1);
            Self(guard)
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            HELD.set(HELD.get() - 1);
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mutex;
    use crate::exit_parking::enter;

    #[test]
    #[cfg_attr(not(debug_assertions), ignore = "only debug builds count")]
    fn an_entry_from_python_under_a_lock_is_noticed() {
        let mutex = Mutex::new(0);
        let held = mutex.lock();
        assert!(std::panic::catch_unwind(enter).is_err());
        drop(held);
        let tried = mutex.try_lock();
        assert!(std::panic::catch_unwind(enter).is_err());
        drop(tried);
        enter();
    }
}
