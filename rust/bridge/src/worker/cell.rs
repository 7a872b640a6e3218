//! State that only one thread may touch.
#![allow(unsafe_code)] // the one place where `Sync` is asserted instead of derived

use std::cell::{RefCell, RefMut};
use std::marker::PhantomData;

thread_local! {
    static MARK: u8 = const { 0 };
}

/// The thread that code runs on, looked up once and handed down; it cannot leave the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Here {
    mark: usize,
    stays: PhantomData<*const ()>,
}

impl Here {
    /// The calling thread.
    pub(crate) fn now() -> Self {
        Self { mark: thread_mark(), stays: PhantomData }
    }
}

/// A number that no other live thread has.
pub(crate) fn thread_mark() -> usize {
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// A value that lives on one thread and is handed around on others.
#[derive(Debug)]
pub(crate) struct ThreadCell<T> {
    owner: usize,
    value: RefCell<T>,
}

// SAFETY: `borrow_here` refuses every thread but the owner, so no two threads reach the `RefCell`; `T: Send` lets the value be
// moved in and dropped elsewhere.
unsafe impl<T: Send> Sync for ThreadCell<T> {}

impl<T> ThreadCell<T> {
    /// A cell owned by the calling thread.
    pub(crate) fn new(value: T) -> Self {
        Self { owner: thread_mark(), value: RefCell::new(value) }
    }

    /// True on the owning thread.
    pub(crate) fn is_home(&self) -> bool {
        self.owner == thread_mark()
    }

    /// The value; `None` on any other thread, and while it is borrowed further up the stack.
    pub(crate) fn borrow(&self) -> Option<RefMut<'_, T>> {
        self.borrow_here(Here::now())
    }

    /// As [`borrow`](Self::borrow), where the thread is known already.
    #[inline]
    pub(crate) fn borrow_here(&self, here: Here) -> Option<RefMut<'_, T>> {
        if here.mark == self.owner { self.value.try_borrow_mut().ok() } else { None }
    }
}
