//! Every way to the interpreter from a thread that is not inside a Python call, counted by thread.
#![allow(unsafe_code)] // `assume_attached` states what the call stack guarantees

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use super::mailbox::Mailbox;

static ATTACHES: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// Attaches the calling thread, counted; `None` when the interpreter is going away.
#[expect(clippy::disallowed_methods, reason = "the one place that attaches")]
pub(crate) fn attach<R>(act: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    Python::try_attach(|py| {
        count();
        act(py)
    })
}

fn count() {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed").to_owned();
    let mut attaches = ATTACHES.lock().unwrap_or_else(PoisonError::into_inner);
    *attaches.get_or_insert_default().entry(name).or_default() += 1;
}

/// Attaches since the process began, by thread name.
pub(crate) fn attaches() -> HashMap<String, u64> {
    ATTACHES.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// Runs `act` on the home thread of `mailbox`, which is attached whenever it runs our code.
pub(crate) fn assume_attached<R>(mailbox: &Mailbox, act: impl FnOnce(Python<'_>) -> R) -> R {
    assert!(mailbox.is_home(), "only the home thread is known to be attached");
    // SAFETY: the home thread of a mailbox is the thread of a Python event loop. It runs our code only in calls from the
    // interpreter, which are attached, and no code of ours detaches there while it wakes consumers.
    act(unsafe { Python::assume_attached() })
}
