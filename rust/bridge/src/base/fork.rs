//! Detection of forks, and the refusal of calls in a child of a process in which the bridge had started.

use std::sync::atomic::{AtomicBool, Ordering};

static FORKED: AtomicBool = AtomicBool::new(false);

/// This is a child of a process in which the bridge had started.
#[derive(Debug)]
pub(crate) struct Forked;

/// # Errors
/// This process was forked from one in which the bridge had started: its threads are not here.
pub(crate) fn check_fork() -> Result<(), Forked> {
    if forked() { Err(Forked) } else { Ok(()) }
}

/// True in the child of a process that had started the runtime.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Notes a fork in the child; threads do not survive it.
#[allow(unsafe_code)] // std has no fork hook
pub(crate) fn watch_forks() {
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
    }
    // SAFETY: the handler only stores to an atomic, which is safe between fork and exec.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}
