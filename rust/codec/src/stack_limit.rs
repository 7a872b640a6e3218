//! The room that is left on the calling thread's stack, which limits how deep values may nest.
#![allow(unsafe_code)] // asks the C library where a thread's stack lies, and the processor where it is used

use std::cell::Cell;
use std::ops::Range;

use crate::Limits;

/// What the interpreter keeps of each stack: with less left its functions raise `RecursionError`, with less than half of it
/// they end the process.
const OF_INTERPRETER: usize = if cfg!(Py_3_14) { 32 << 10 } else { 0 };
/// What a leaf, an error and its message may need.
pub(super) const FOR_LEAVES: usize = OF_INTERPRETER + (16 << 10);
/// What Python code, or the code of a caller's types, may need besides.
pub(super) const FOR_CODE: usize = 16 << 10;

/// More than what one container takes while it is written, those of a debug build included.
const FOR_CONTAINER: usize = 2 << 10;

/// The same for as many as there may be inside one another.
const ALL_CONTAINERS: usize = Limits::MAX_DEPTH * FOR_CONTAINER;

/// Why nesting ended, where it was for want of stack.
pub(super) const TOO_SMALL: &str = "the thread's stack is too small for so many containers inside one another";

/// What is known of a thread, in one place: finding it costs as much as a small value.
#[derive(Debug)]
pub(super) struct Thread {
    /// Where its stack lies; an empty range at 0 before that was asked, at 1 where it cannot be known.
    low: Cell<usize>,
    high: Cell<usize>,
    /// From where on it holds all the containers that there may be, and how many bytes of it lie above.
    ample: Cell<usize>,
    above: Cell<usize>,
    /// Containers that encodings on it have open.
    pub(super) open: Cell<usize>,
}

thread_local! {
    pub(super) static THREAD: Thread = const {
        Thread {
            low: Cell::new(0),
            high: Cell::new(0),
            ample: Cell::new(0),
            above: Cell::new(0),
            open: Cell::new(0),
        }
    };
}

/// What one pass over a value may use of its thread's stack.
#[derive(Debug)]
pub(super) struct Room {
    /// Address above which the pass stays; 0 on a stack that is not the thread's own, of which nothing is known.
    floor: usize,
    used_up: Cell<bool>,
}

impl Room {
    /// All of the stack but `reserve` bytes.
    pub(super) fn new(reserve: usize) -> Self {
        THREAD.with(|thread| Self::of(thread, reserve))
    }

    /// All of the stack of `thread`, which is the calling one, but `reserve` bytes.
    #[inline]
    pub(super) fn of(thread: &Thread, reserve: usize) -> Self {
        let (here, low) = (pointer(), thread.low.get());
        let low = if here.wrapping_sub(low) < thread.high.get() - low { low } else { thread.find_low(here) };
        Self { floor: if low == 0 { 0 } else { low + reserve }, used_up: Cell::new(false) }
    }

    /// True if `bytes` more are left besides the reserve.
    #[inline]
    pub(super) fn holds(&self, bytes: usize) -> bool {
        pointer() >= self.floor + bytes || self.use_up()
    }

    /// All of the stack of `thread`, which is the calling one, but what a leaf needs; and the containers inside one another
    /// that fit without a look at each, if no other code runs.
    #[inline]
    pub(super) fn for_containers(thread: &Thread) -> (Self, usize) {
        let ample = thread.ample.get();
        if pointer().wrapping_sub(ample) < thread.above.get() {
            return (Self { floor: ample - ALL_CONTAINERS, used_up: Cell::new(false) }, usize::MAX);
        }
        Self::for_some_containers(thread)
    }

    #[cold]
    #[inline(never)]
    fn for_some_containers(thread: &Thread) -> (Self, usize) {
        let room = Self::of(thread, FOR_LEAVES);
        let containers = room.containers();
        (room, containers)
    }

    /// Containers inside one another that fit, if no other code runs.
    pub(super) fn containers(&self) -> usize {
        if self.floor == 0 { usize::MAX } else { pointer().saturating_sub(self.floor) / FOR_CONTAINER }
    }

    #[cold]
    fn use_up(&self) -> bool {
        self.used_up.set(true);
        false
    }

    /// True once more was asked for than was left.
    pub(super) fn is_used_up(&self) -> bool {
        self.used_up.get()
    }
}

impl Thread {
    /// The lowest address of the stack that `here` is on; 0 if that is not the thread's own.
    #[cold]
    fn find_low(&self, here: usize) -> usize {
        if self.high.get() == 0 {
            let range = bounds().unwrap_or(1..1);
            self.low.set(range.start);
            self.high.set(range.end);
            let ample = range.start + FOR_LEAVES + ALL_CONTAINERS;
            self.ample.set(ample);
            self.above.set(range.end.saturating_sub(ample));
        }
        if (self.low.get()..self.high.get()).contains(&here) { self.low.get() } else { 0 }
    }
}

/// The stack pointer, or an address near it.
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction for each container")]
fn pointer() -> usize {
    let here: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: copies a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: copies a register.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let local = 0_u8;
        here = (&raw const local).addr();
    }
    here
}

/// Where the calling thread's stack lies, without what guards its end.
#[cfg(target_os = "linux")]
fn bounds() -> Option<Range<usize>> {
    let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are read only after they were filled in, and are destroyed once.
    unsafe {
        let mut attributes = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let got = libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size)
            | libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard);
        libc::pthread_attr_destroy(&raw mut attributes);
        if got != 0 {
            return None;
        }
    }
    let (low, high) = (low.addr(), low.addr() + size);
    // Old versions of glibc count the guard as part of the stack.
    Some(first_thread(low, high) + guard..high)
}

/// The lowest address of a stack that the C library found to begin at `low`: musl says how far the first thread's has
/// grown, not how far it may grow.
#[cfg(all(target_os = "linux", target_env = "musl"))]
fn first_thread(low: usize, high: usize) -> usize {
    // SAFETY: both only ask; the limit is read after it was filled in.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::gettid() != libc::getpid() || libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) != 0 {
            return low;
        }
        // The program's arguments, at most a quarter, lie above what counts as the stack's beginning.
        let size = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) / 4 * 3;
        low.min(high.saturating_sub(size).max(1))
    }
}

#[cfg(all(target_os = "linux", not(target_env = "musl")))]
fn first_thread(low: usize, _high: usize) -> usize {
    low
}

#[cfg(target_vendor = "apple")]
fn bounds() -> Option<Range<usize>> {
    // SAFETY: both only ask about the calling thread.
    let (high, size) = unsafe {
        let this = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(this).addr(), libc::pthread_get_stacksize_np(this))
    };
    Some(high - size..high)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn bounds() -> Option<Range<usize>> {
    None
}
