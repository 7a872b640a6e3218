//! A Python consumer that waits: a future of its own loop, woken from any thread.

use std::sync::Arc;
use std::task::{Wake, Waker};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::attach::on_owner_thread;
use super::mailbox::Mailbox;
use super::wait_future::Wait;
use crate::base::deferred_release::LoopOwned;
use crate::base::lock::{Mutex, lock};
use crate::state::{Command, CommandSink, Notify};

/// Woken once per wait; on its loop's thread it resolves its future at once, from elsewhere through the loop's mailbox.
#[derive(Debug)]
pub(crate) struct Waiter {
    mailbox: Arc<Mailbox>,
    at_once: bool,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    wait: Mutex<Option<LoopOwned>>,
}

impl Waiter {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self { mailbox, at_once: true, wait: Mutex::new(None) })
    }

    /// One that is always woken through the mailbox: for wakers that the end of a Python object may call, when the
    /// interpreter is between two frames and code that looks at its stack finds no sound one.
    pub(crate) fn by_mail(mailbox: Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self { mailbox, at_once: false, wait: Mutex::new(None) })
    }

    /// That of the loop on which it waits.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The future that a wake-up will resolve, if there is one.
    pub(crate) fn wait(&self, py: Python<'_>) -> Option<Py<Wait>> {
        let wait = lock(&self.wait).as_ref()?.get(py).clone_ref(py);
        wait.into_bound(py).cast_into().map(Bound::unbind).ok()
    }

    /// True if nobody has resolved or cancelled the future yet.
    pub(crate) fn is_pending(&self, py: Python<'_>) -> bool {
        self.wait(py).is_some_and(|wait| wait.get().is_pending())
    }

    /// Shows the future to the collector, for the one coroutine that waits for it, once its loop is closed. Until then a
    /// wake-up may resolve it, and the task that waits is no garbage, though only asyncio's weak references know it.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if self.mailbox.is_open() {
            return Ok(());
        }
        let Ok(wait) = self.wait.try_lock() else { return Ok(()) };
        visit.call(wait.as_ref().and_then(LoopOwned::peek))
    }

    /// The future to resolve at the next wake-up.
    pub(crate) fn arm(self: &Arc<Self>, wait: Py<Wait>) -> Waker {
        let wait = LoopOwned::new(wait.into_any(), self.mailbox.sink());
        let old = lock(&self.wait).replace(wait);
        drop(old);
        Waker::from(Arc::clone(self))
    }

    /// Forgets the future; a wake-up does nothing.
    pub(crate) fn disarm(&self) {
        let old = lock(&self.wait).take();
        drop(old);
    }
}

impl Notify for Waiter {
    /// Resolves the future.
    fn notify(&self, py: Python<'_>) {
        let wait = lock(&self.wait).take();
        if let Some(wait) = wait.filter(|_| self.mailbox.is_open())
            && let Ok(wait) = wait.get(py).bind(py).cast()
        {
            Wait::resolve(wait);
        }
    }
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        if !self.at_once || !on_owner_thread(&self.mailbox, |py| self.notify(py)) {
            let mailbox = Arc::clone(&self.mailbox);
            drop(mailbox.post(Command::Wake(self)));
        }
    }
}
