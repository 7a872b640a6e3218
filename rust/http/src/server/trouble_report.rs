//! Lines on standard error about what a server cannot do.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::observe::AccessLog;

/// Says on standard error what is wrong, in the form of `log`. A thread of its own writes it: if nobody reads there, it waits, and
/// nothing is said until it has done.
pub(super) fn report(log: AccessLog, what: &str) {
    static WRITING: AtomicBool = AtomicBool::new(false);
    let line = log.notice(what);
    let write = move || {
        // There is nobody to tell that it cannot be told.
        let _ = io::stderr().write_all(&line);
        WRITING.store(false, Ordering::Release);
    };
    if !WRITING.swap(true, Ordering::AcqRel)
        && thread::Builder::new().name("pybridge-report".into()).spawn(write).is_err()
    {
        WRITING.store(false, Ordering::Release);
    }
}
