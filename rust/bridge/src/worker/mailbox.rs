//! The one way from other threads to a worker: commands in an inbox, and one coalesced wake-up.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pyo3::prelude::*;

use super::inbox::Inbox;
use super::thread_cell::thread_mark;
use super::wakeup::Wakeup;
use crate::base::deferred_release::{Owner, orphan};
use crate::state::{Command, CommandSink};

/// Commands of one worker. Any thread posts; only the worker takes.
pub(crate) struct Mailbox {
    inbox: Inbox<Command>,
    owner: AtomicUsize,
    wakeup: Wakeup,
    wakeups: AtomicU64,
    late: AtomicU64,
}

impl Mailbox {
    /// A mailbox whose owner is the calling thread.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            inbox: Inbox::new(),
            owner: AtomicUsize::new(thread_mark()),
            wakeup: Wakeup::new()?,
            wakeups: AtomicU64::new(0),
            late: AtomicU64::new(0),
        })
    }

    /// The loop runs on the calling thread from now on.
    pub(super) fn adopt(&self, _py: Python<'_>) {
        self.owner.store(thread_mark(), Ordering::Relaxed);
    }

    /// False once the loop is closed.
    pub(crate) fn is_open(&self) -> bool {
        self.inbox.is_open()
    }

    /// This mailbox, for those who know no workers.
    pub(crate) fn sink(self: &Arc<Self>) -> Arc<dyn CommandSink> {
        Arc::<Self>::clone(self)
    }

    /// The next command; the worker calls [`Self::rearm`] before the first.
    pub(super) fn take(&self) -> Option<Command> {
        self.inbox.take()
    }

    /// From now on a post wakes again.
    pub(super) fn rearm(&self) {
        self.inbox.rearm(|| self.wakeup.clear());
    }

    /// Asks for one more wake-up although nothing new was posted.
    pub(super) fn nudge(&self) {
        self.inbox.nudge(|| self.wakeup.notify());
    }

    pub(super) fn fd(&self) -> RawFd {
        self.wakeup.fd()
    }

    /// Wake-ups written, and commands that came after the end.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.wakeups.load(Ordering::Relaxed), self.late.load(Ordering::Relaxed))
    }

    /// Refuses everything from now on.
    pub(super) fn close(&self) {
        self.inbox.close(|lost| self.lose(lost));
    }

    /// Ends what a command that nobody takes was for; a reference waits for the next Python thread.
    fn lose(&self, command: Command) {
        self.late.fetch_add(1, Ordering::Relaxed);
        match command {
            Command::Release(object) => orphan(object),
            Command::Start(start) => start.refuse(),
            Command::Cancel(stream) | Command::Grace(stream) | Command::Resume(stream) => stream.lose_worker(),
            Command::Wake(_) | Command::Run(_) => {}
        }
    }
}

impl Owner for Mailbox {
    fn is_owner_thread(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == thread_mark()
    }

    fn release(&self, object: Py<PyAny>) {
        if let Err(Command::Release(object)) = self.post(Command::Release(object)) {
            orphan(object);
        }
    }
}

impl CommandSink for Mailbox {
    /// Wakes the worker if nobody has since it last looked.
    fn post(&self, command: Command) -> Result<(), Command> {
        let wake = || {
            crate::base::fault::reach(crate::base::fault::Point::Wakeup);
            self.wakeups.fetch_add(1, Ordering::Relaxed);
            self.wakeup.notify();
        };
        self.inbox.post(command, wake, |lost| self.lose(lost)).inspect_err(|_| {
            self.late.fetch_add(1, Ordering::Relaxed);
        })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.inbox.discard(|lost| self.lose(lost));
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
