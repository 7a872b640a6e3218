//! State that only one thread may touch.
#![allow(unsafe_code)] // the one place where `Sync` is asserted instead of derived

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;

/// The next thread's mark; 0 marks none.
static NEXT: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    static MARK: Cell<usize> = const { Cell::new(0) };
}

/// The thread that code runs on, looked up once and handed down; it cannot leave the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadToken {
    mark: usize,
    stays: PhantomData<*const ()>,
}

impl ThreadToken {
    /// The calling thread.
    pub(crate) fn now() -> Self {
        Self { mark: thread_mark(), stays: PhantomData }
    }
}

/// A number that no other thread has or ever had: what belonged to a dead thread belongs to nobody.
pub(crate) fn thread_mark() -> usize {
    let mark = MARK.get();
    if mark != 0 {
        return mark;
    }
    let mark = NEXT.fetch_add(1, Ordering::Relaxed);
    MARK.set(mark);
    mark
}

/// A value that lives on one thread and is handed around on others.
#[derive(Debug)]
pub(crate) struct ThreadCell<T> {
    owner: AtomicUsize,
    value: RefCell<T>,
}

// SAFETY: `borrow_with` refuses every thread but the owner; `look` is for the collector and `adopt` changes the owner only
// while nothing is borrowed, and both hold the interpreter, as every borrow does: no two threads reach the `RefCell` at
// once. `T: Send` lets the value move between threads.
unsafe impl<T: Send> Sync for ThreadCell<T> {}

impl<T> ThreadCell<T> {
    /// A cell owned by the calling thread.
    pub(crate) fn new(value: T) -> Self {
        Self { owner: AtomicUsize::new(thread_mark()), value: RefCell::new(value) }
    }

    /// True on the owning thread.
    pub(crate) fn is_owner_thread(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == thread_mark()
    }

    /// The value; `None` on any other thread, and while it is borrowed further up the stack.
    pub(crate) fn borrow(&self) -> Option<RefMut<'_, T>> {
        self.borrow_with(ThreadToken::now())
    }

    /// As [`borrow`](Self::borrow), where the thread is known already.
    #[inline]
    pub(crate) fn borrow_with(&self, token: ThreadToken) -> Option<RefMut<'_, T>> {
        if token.mark == self.owner.load(Ordering::Relaxed) { self.value.try_borrow_mut().ok() } else { None }
    }

    /// The value for the collector, which holds the interpreter on whatever thread; `None` while it is borrowed.
    pub(crate) fn look(&self) -> Option<Ref<'_, T>> {
        self.value.try_borrow().ok()
    }

    /// Makes the calling thread the owner, unless the value is borrowed; the event loop it belongs to has moved here.
    pub(crate) fn adopt(&self, _py: Python<'_>) {
        if self.value.try_borrow_mut().is_ok() {
            self.owner.store(thread_mark(), Ordering::Relaxed);
        }
    }
}
