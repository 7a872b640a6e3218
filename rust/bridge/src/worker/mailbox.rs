//! The one way from other threads to a worker: a lock-free queue and one coalesced wake-up.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use crossbeam_queue::SegQueue;
use pyo3::prelude::*;

use super::cell::thread_mark;
use super::port::Port;
use super::release::orphan;
use super::wakeup::Wakeup;
use crate::stream::{StartRequest, StreamCore, Waiter};

/// Something to run on a worker, attached. It must own no Python reference.
pub(crate) type PortCall = Box<dyn FnOnce(Python<'_>, &Bound<'_, Port>) + Send>;

/// What a worker is asked to do.
pub(crate) enum Command {
    /// Make the driver of a stream and its asyncio task.
    Start(Box<StartRequest>),
    /// Cancel the asyncio task of a stream; the reason is in its core.
    Cancel(Arc<StreamCore>),
    /// The grace of a cancelled stream is over.
    Grace(Arc<StreamCore>),
    /// Credit is back: let the driver go on.
    Resume(Arc<StreamCore>),
    /// Something arrived for a Python consumer on this loop.
    Wake(Arc<Waiter>),
    /// Run on the worker, attached.
    CallPort(PortCall),
    /// Drop a Python reference.
    Release(Py<PyAny>),
}

/// Commands of one worker. Any thread posts; only the worker takes.
pub(crate) struct Mailbox {
    queue: SegQueue<Command>,
    armed: AtomicBool,
    open: AtomicBool,
    home: AtomicUsize,
    wakeup: Wakeup,
    wakeups: AtomicU64,
    late: AtomicU64,
}

impl Mailbox {
    /// A mailbox whose home is the calling thread.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: SegQueue::new(),
            armed: AtomicBool::new(false),
            open: AtomicBool::new(true),
            home: AtomicUsize::new(thread_mark()),
            wakeup: Wakeup::new()?,
            wakeups: AtomicU64::new(0),
            late: AtomicU64::new(0),
        })
    }

    /// True on the thread whose loop takes the commands.
    pub(crate) fn is_home(&self) -> bool {
        self.home.load(Ordering::Relaxed) == thread_mark()
    }

    /// The loop runs on the calling thread from now on.
    pub(super) fn adopt(&self, _py: Python<'_>) {
        self.home.store(thread_mark(), Ordering::Relaxed);
    }

    /// False once the loop is closed.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Adds a command and wakes the worker if nobody has since it last looked.
    ///
    /// # Errors
    /// The worker is gone; the command comes back.
    pub(crate) fn post(&self, command: Command) -> Result<(), Command> {
        if !self.is_open() {
            self.late.fetch_add(1, Ordering::Relaxed);
            return Err(command);
        }
        self.queue.push(command);
        if !self.armed.swap(true, Ordering::AcqRel) {
            crate::fault::reach(crate::fault::Point::Wakeup);
            self.wakeups.fetch_add(1, Ordering::Relaxed);
            self.wakeup.notify();
        }
        // The worker may have closed between the look and the push: then nobody would take what is queued. The fence pairs
        // with the one in `close`: either this load sees the close, or the closer's takes see the push.
        fence(Ordering::SeqCst);
        if !self.is_open() {
            self.discard();
        }
        Ok(())
    }

    /// Sends a reference home, or to the orphans if home is gone.
    pub(super) fn post_release(&self, object: Py<PyAny>) {
        if let Err(Command::Release(object)) = self.post(Command::Release(object)) {
            orphan(object);
        }
    }

    /// The next command; the worker calls [`Self::rearm`] before the first.
    pub(super) fn take(&self) -> Option<Command> {
        self.queue.pop()
    }

    /// From now on a post wakes again.
    pub(super) fn rearm(&self) {
        self.wakeup.clear();
        // Pairs with the swap in `post`: a command pushed before its swap is seen by the takes that follow this one.
        self.armed.swap(false, Ordering::AcqRel);
    }

    /// Asks for one more wake-up although nothing new was posted.
    pub(super) fn nudge(&self) {
        if !self.armed.swap(true, Ordering::AcqRel) {
            self.wakeup.notify();
        }
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
        self.open.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
        self.discard();
    }

    fn discard(&self) {
        while let Some(command) = self.queue.pop() {
            self.late.fetch_add(1, Ordering::Relaxed);
            match command {
                Command::Release(object) => orphan(object),
                Command::Start(start) => start.refuse(),
                Command::Cancel(core) | Command::Grace(core) | Command::Resume(core) => core.lose_worker(),
                Command::Wake(_) | Command::CallPort(_) => {}
            }
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.discard();
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("open", &self.is_open())
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}
