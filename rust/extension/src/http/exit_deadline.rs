//! The end of a process that cannot end by itself.
#![allow(unsafe_code)] // nothing safe ends a process without running what may wait for the interpreter

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pybridge_base::lock::{Mutex, lock};
use pybridge_http::{AccessLog, Control};

/// Exit status of a process that had to be ended.
const STUCK: i32 = 3;

/// How long the reason may take to be written: nobody may be reading.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// When the process ends, whatever holds the interpreter; it is told why on standard error.
pub(super) struct Deadline {
    armed: Mutex<Option<mpsc::Sender<()>>>,
    control: Control,
    log: AccessLog,
}

impl Deadline {
    /// `control`: of the server that ends with the process; `log`: the form of what is said.
    pub(super) fn new(control: Control, log: AccessLog) -> Self {
        Self { armed: Mutex::new(None), control, log }
    }

    /// Ends the process in so much time, unless it is disarmed before. Armed already it stays as it is.
    pub(super) fn arm(&self, within: Duration) {
        let mut armed = lock(&self.armed);
        if armed.is_some() {
            return;
        }
        *armed = self.start(within);
    }

    /// The process may take its time again.
    pub(super) fn disarm(&self) {
        drop(lock(&self.armed).take());
    }

    /// Ends the process in so much time, whatever becomes of this.
    pub(super) fn arm_for_good(&self, within: Duration) {
        self.disarm();
        std::mem::forget(self.start(within));
    }

    /// Ends the process now, and says why.
    pub(super) fn exit(&self, status: i32, why: &str) -> ! {
        exit(&self.control, status, self.log.notice(why))
    }

    /// Starts the thread that ends the process in so much time, unless what comes back is dropped before. `None`: the system has
    /// no thread left.
    fn start(&self, within: Duration) -> Option<mpsc::Sender<()>> {
        let (disarm, disarmed) = mpsc::channel();
        let (control, log) = (self.control.clone(), self.log);
        // A thread of its own: it needs neither the interpreter nor the runtime, which may be what does not go on.
        let wait = move || {
            if disarmed.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
                let why = format!(
                    "{within:.1?} were too little to stop in: something still holds Python's interpreter, or a thread of it goes \
                     on; the process ends with status {STUCK}"
                );
                exit(&control, STUCK, log.notice(&why));
            }
        };
        thread::Builder::new().name("pybridge-deadline".into()).spawn(wait).ok().map(|_| disarm)
    }
}

/// Writes a line to standard error, and waits for that as long as a process that is to end can.
fn say(line: Vec<u8>) {
    let (written, done) = mpsc::channel();
    let write = move || {
        drop(std::io::stderr().write_all(&line));
        let _ = written.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = done.recv_timeout(LAST_WORDS);
    }
}

/// Ends the process as it is: no handlers run, nothing is flushed.
fn exit(control: &Control, status: i32, last_words: Vec<u8>) -> ! {
    say(last_words);
    control.abandon();
    // SAFETY: the call does not return, and runs nothing of the process.
    unsafe { libc::_exit(status) }
}
