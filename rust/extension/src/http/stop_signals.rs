//! The end of a serving process by signals, whatever holds the interpreter: the first drains, a second ends it at once.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pybridge_http::{AccessLog, Control};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::exit_deadline::Deadline;

/// Added to a signal's number it is the exit status of a process that the signal has ended.
const SIGNALLED: i32 = 128;

/// How much longer than to drain a server may take to leave its sockets to others.
const LEAVING: Duration = Duration::from_secs(1);

/// What Python's main thread reads when the server begins to drain, when it leaves its sockets to another process, and when it has
/// ended.
const DRAINS: u8 = b'd';
const LEAVES: u8 = b'l';
const ENDED: u8 = b'.';

/// The end of one process, asked for once or twice.
pub(super) struct Stopping {
    control: Control,
    deadline: Deadline,
    is_asked: AtomicBool,
    told: Option<StdUnixStream>,
}

impl Stopping {
    /// `told`: where Python's main thread reads how far the end is; `log`: the form of what is said of an end without it.
    pub(super) fn new(control: Control, told: Option<OwnedFd>, log: AccessLog) -> Self {
        let (told, deadline) = (told.map(StdUnixStream::from), Deadline::new(control.clone(), log));
        Self { control, deadline, is_asked: AtomicBool::new(false), told }
    }

    fn tell(&self, what: u8) {
        if let Some(mut told) = self.told.as_ref() {
            // Nobody reads any more if it fails.
            let _ = told.write_all(&[what]);
        }
    }

    /// The server has ended. A child of a fork may hold another copy of the socket, which would keep that from being seen by its
    /// end.
    pub(super) fn ended(&self) {
        self.tell(ENDED);
    }

    /// Lets the server drain, and the process end within this time. False: that was asked for before.
    pub(super) fn begin(&self, within: Duration) -> bool {
        let is_first = !self.is_asked.swap(true, Ordering::AcqRel);
        if is_first {
            self.deadline.arm(within);
            self.tell(DRAINS);
            self.control.drain();
        }
        is_first
    }

    /// The process has come to its own end, which may take so long.
    pub(super) fn disarm(&self, within: Option<Duration>) {
        match within {
            Some(within) => self.deadline.arm_for_good(within),
            None => self.deadline.disarm(),
        }
    }

    /// Reads numbers of signals, a byte each, until the other end is closed: the first SIGINT or SIGTERM begins the end, one
    /// that comes later ends the process. `replaced`: SIGHUP comes where another process has taken this one's place; else it ends
    /// the process too.
    pub(super) async fn read_signals(self: Arc<Self>, mut signals: UnixStream, within: Duration, replaced: bool) {
        let mut numbers = [0; 64];
        while let Ok(length @ 1..) = signals.read(&mut numbers).await {
            for number in numbers[..length].iter().map(|&number| i32::from(number)) {
                match number {
                    libc::SIGHUP if replaced => {
                        self.deadline.arm(within + LEAVING);
                        self.tell(LEAVES);
                        self.control.leave();
                    }
                    libc::SIGHUP => self.exit(number, "SIGHUP, which replaces processes with --workers only"),
                    libc::SIGINT if !self.begin(within) => self.exit(number, "SIGINT while it was stopping"),
                    libc::SIGTERM if !self.begin(within) => self.exit(number, "SIGTERM while it was stopping"),
                    _ => {}
                }
            }
        }
    }

    /// Ends the process by a signal.
    fn exit(&self, signal: i32, why: &str) -> ! {
        self.deadline.exit(SIGNALLED + signal, &format!("process {} ends at once: {why}", std::process::id()))
    }
}
