//! A queue that any thread posts to and one worker takes from: no wake-up is lost, and what is posted after its end is
//! handed back. It knows no Python: `rust/bridge/models` compiles this very file and checks every interleaving.

use super::sync::{AtomicBool, Ordering, SegQueue, fence};

/// A queue that any thread adds to and one thread takes from, until it closes.
pub(super) struct Inbox<T> {
    queue: SegQueue<T>,
    armed: AtomicBool,
    open: AtomicBool,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Self {
        Self { queue: SegQueue::new(), armed: AtomicBool::new(false), open: AtomicBool::new(true) }
    }

    /// False once it is closed.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Adds `command`; calls `wake` if nobody has since the taker last looked. `lost` gets what nobody will take, if it
    /// closes meanwhile.
    ///
    /// # Errors
    /// It is closed; the command comes back.
    pub(super) fn post(&self, command: T, wake: impl FnOnce(), lost: impl FnMut(T)) -> Result<(), T> {
        if !self.is_open() {
            return Err(command);
        }
        self.queue.push(command);
        self.nudge(wake);
        // It may have closed between the look and the push: then nobody would take what is queued. The fence pairs with
        // the one in `close`: either this load sees the close, or the closer's takes see the push.
        fence(Ordering::SeqCst);
        if !self.is_open() {
            self.discard(lost);
        }
        Ok(())
    }

    /// Calls `wake` if nobody has since the taker last looked.
    pub(super) fn nudge(&self, wake: impl FnOnce()) {
        if !self.armed.swap(true, Ordering::AcqRel) {
            wake();
        }
    }

    /// The next command; the taker calls [`Self::rearm`] before the first.
    pub(super) fn take(&self) -> Option<T> {
        self.queue.pop()
    }

    /// From now on a post wakes again; `clear` takes back the wake-ups so far.
    pub(super) fn rearm(&self, clear: impl FnOnce()) {
        clear();
        // Pairs with the swap in `nudge`: a command pushed before its swap is seen by the takes that follow this one.
        self.armed.swap(false, Ordering::AcqRel);
    }

    /// Refuses everything from now on; `lost` gets what is queued.
    pub(super) fn close(&self, lost: impl FnMut(T)) {
        self.open.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
        self.discard(lost);
    }

    /// Takes everything that is queued.
    pub(super) fn discard(&self, lost: impl FnMut(T)) {
        std::iter::from_fn(|| self.queue.pop()).for_each(lost);
    }
}
