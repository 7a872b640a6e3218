//! All ways to attach to the interpreter from a thread that is not inside a Python call, counted by thread.
#![allow(unsafe_code)] // states what the call stack guarantees, or what was looked up

use pyo3::ffi;
use pyo3::prelude::*;

use super::mailbox::Mailbox;
use crate::base::attach_counts::count;
use crate::base::deferred_release::Owner;
use crate::base::exit_parking::enter;

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

/// Runs `act` on the owner thread of `mailbox`, if it is attached: between two runs of its loop a host may have detached it.
/// False: it did not run.
pub(crate) fn on_owner_thread(mailbox: &Mailbox, act: impl FnOnce(Python<'_>)) -> bool {
    // SAFETY: the call only looks whether this thread holds the interpreter.
    if !mailbox.is_owner_thread() || unsafe { ffi::PyGILState_Check() } == 0 {
        return false;
    }
    enter();
    // SAFETY: this thread is attached, as was seen just now, and stays so until it detaches itself.
    act(unsafe { Python::assume_attached() });
    true
}
