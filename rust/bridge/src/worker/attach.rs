//! Every way to the interpreter from a thread that is not inside a Python call, counted by thread.
#![allow(unsafe_code)] // states what the call stack guarantees, or what was looked up

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;

use super::mailbox::Mailbox;
use crate::lock::Mutex;
use crate::parking::enter;
use crate::state::Owner;

/// Attaches by thread name; threads of the same name share a counter.
static COUNTERS: Mutex<Vec<(String, Arc<AtomicU64>)>> = Mutex::new(Vec::new());

thread_local! {
    static COUNTER: OnceCell<Arc<AtomicU64>> = const { OnceCell::new() };
}

fn counter_of(name: &str) -> Arc<AtomicU64> {
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, counter)) = counters.iter().find(|(known, _)| known == name) {
        return Arc::clone(counter);
    }
    let counter = Arc::new(AtomicU64::new(0));
    counters.push((name.to_owned(), Arc::clone(&counter)));
    counter
}

/// Attaches the calling thread, counted.
///
/// Only the reference bridges do this on threads of a tokio runtime; whatever of pybridge's own does shows in the same
/// counters.
#[expect(clippy::disallowed_methods, reason = "the reference bridges do")]
pub fn attach<R>(act: impl FnOnce(Python<'_>) -> R) -> R {
    enter();
    count(std::thread::current().name().unwrap_or("unnamed"));
    Python::attach(act)
}

/// Attaches the calling thread, counted, unless the interpreter is going away.
#[expect(clippy::disallowed_methods, reason = "for a thread that is not the runtime's")]
pub(crate) fn try_attach<R>(act: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    enter();
    Python::try_attach(|py| {
        count(std::thread::current().name().unwrap_or("unnamed"));
        act(py)
    })
}

/// True on a thread that holds the interpreter, as a host's own may or may not.
fn is_attached() -> bool {
    // SAFETY: both calls only look; without an interpreter the second could not tell.
    unsafe { ffi::Py_IsInitialized() != 0 && ffi::PyGILState_Check() != 0 }
}

/// Runs `act` if the calling thread is attached.
pub(crate) fn if_attached<R>(act: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    is_attached().then(|| {
        enter();
        // SAFETY: this thread is attached, as was seen just now.
        act(unsafe { Python::assume_attached() })
    })
}

/// Runs `act`, which waits for others, while the calling thread is not attached.
pub(crate) fn detached<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    if is_attached() {
        enter();
        // SAFETY: as above.
        unsafe { Python::assume_attached() }.detach(act)
    } else {
        act()
    }
}

/// Counts one return of the calling thread, which has this name, to the interpreter on pybridge's account.
pub(super) fn count(name: &str) {
    COUNTER.with(|counter| counter.get_or_init(|| counter_of(name)).fetch_add(1, Ordering::Relaxed));
}

/// Attaches since the process began, by thread name.
pub(crate) fn attaches() -> HashMap<String, u64> {
    let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    counters.iter().map(|(name, counter)| (name.clone(), counter.load(Ordering::Relaxed))).collect()
}

/// Runs `act` in the `Drop` of a Python class of ours.
pub(crate) fn in_dealloc<R>(act: impl FnOnce(Python<'_>) -> R) -> R {
    enter();
    // SAFETY: instances of Python classes are freed by the interpreter, on attached threads.
    act(unsafe { Python::assume_attached() })
}

/// Runs `act` in a slot of a Python class of ours.
pub(crate) fn in_slot<R>(act: impl FnOnce(Python<'_>) -> R) -> R {
    enter();
    // SAFETY: slots are called by the interpreter, on attached threads.
    act(unsafe { Python::assume_attached() })
}

/// Runs `act` on the home thread of `mailbox`, if it is attached: between two runs of its loop a host may have detached it.
/// False: it did not run.
pub(crate) fn at_home(mailbox: &Mailbox, act: impl FnOnce(Python<'_>)) -> bool {
    // SAFETY: the call only looks whether this thread holds the interpreter.
    if !mailbox.is_owner_thread() || unsafe { ffi::PyGILState_Check() } == 0 {
        return false;
    }
    enter();
    // SAFETY: this thread is attached, as was seen just now, and stays so until it detaches itself.
    act(unsafe { Python::assume_attached() });
    true
}
