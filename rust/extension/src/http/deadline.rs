//! The end of a process that cannot end by itself.
#![allow(unsafe_code)] // nothing safe ends a process without running what may wait for the interpreter

use std::io::Write;
use std::sync::{PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use pybridge::extension::Mutex;

/// Exit status of a process that had to be ended.
const STUCK: i32 = 3;

/// How long the reason may take to be written: nobody may be reading.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// When the process ends, whatever holds the interpreter; it is told why on standard error.
#[derive(Default)]
pub(super) struct Deadline(Mutex<Option<mpsc::Sender<()>>>);

impl Deadline {
    /// Ends the process in so much time, unless it is disarmed before. Armed already it stays as it is.
    pub(super) fn arm(&self, within: Duration) {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.is_some() {
            return;
        }
        *armed = start(within);
    }

    /// The process may take its time again.
    pub(super) fn disarm(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends the process in so much time, whatever becomes of this.
    pub(super) fn arm_for_good(&self, within: Duration) {
        self.disarm();
        std::mem::forget(start(within));
    }
}

/// Starts the thread that ends the process in so much time, unless what comes back is dropped before. `None`: the system has
/// no thread left.
fn start(within: Duration) -> Option<mpsc::Sender<()>> {
    let (disarm, disarmed) = mpsc::channel();
    // A thread of its own: it needs neither the interpreter nor the runtime, which may be what does not go on.
    let wait = move || {
        if disarmed.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
            say(format!(
                "pybridge: {within:.1?} were too little to stop in: something still holds Python's interpreter, or a \
                 thread of it goes on; the process ends with status {STUCK}\n"
            ));
            exit_now(STUCK);
        }
    };
    thread::Builder::new().name("pybridge-deadline".into()).spawn(wait).ok().map(|_| disarm)
}

/// Writes to standard error, and waits for that as long as a process that is to end can.
fn say(text: String) {
    let (written, done) = mpsc::channel();
    let write = move || {
        drop(std::io::stderr().write_all(text.as_bytes()));
        let _ = written.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = done.recv_timeout(LAST_WORDS);
    }
}

/// Ends the process as it is: no handlers run, nothing is flushed.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: the call does not return, and runs nothing of the process.
    unsafe { libc::_exit(status) }
}
