//! Synchronisation primitives: those of std, or loom's when a model is checked. No other file names them.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The pool's handle is counted by std even in models: loom has no weak references.
pub(crate) use std::sync::{Arc as HandleArc, Weak as HandleWeak};

/// Locks; nothing panics while a lock of this crate is held, so a poisoned one is still sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
