//! State that only one thread may touch.
#![allow(unsafe_code)] // the one place where `Sync` is asserted instead of derived

use std::cell::{RefCell, RefMut};

thread_local! {
    static MARK: u8 = const { 0 };
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

// SAFETY: `borrow` refuses every thread but the owner, so no two threads reach the `RefCell`; `T: Send` lets the value be
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
        if self.is_home() { self.value.try_borrow_mut().ok() } else { None }
    }
}
