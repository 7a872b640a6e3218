//! Parking of threads that would go back into an interpreter that is shutting down.
//!
//! Python before 3.14 ends such a thread by `pthread_exit`. glibc then unwinds its stack, and a frame of Rust on it
//! aborts the process. `docs/decisions/0009-threads-are-parked-at-exit.md` says what this rests on.
#![allow(unsafe_code)] // the C library's list of cleanup routines has no safe form

#[cfg(not(all(target_os = "linux", not(Py_3_14))))]
mod system {
    /// Does nothing: nothing unwinds the stacks of threads that end.
    #[inline]
    pub(crate) fn enter() {}

    pub(crate) const STATE: fn() -> &'static str = || "not needed";
}

#[cfg(all(target_os = "linux", not(Py_3_14)))]
mod system {
    use std::cell::{Cell, OnceCell, UnsafeCell};
    use std::ffi::{c_int, c_void};
    use std::mem;
    use std::ptr;
    use std::sync::OnceLock;

    /// glibc's `struct _pthread_cleanup_buffer`; musl's has the same beginning, without `cancel_type`, and is smaller.
    #[repr(C)]
    struct Buffer {
        routine: Option<extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Self,
    }

    type Push = unsafe extern "C" fn(*mut Buffer, extern "C" fn(*mut c_void), *mut c_void);
    type Pop = unsafe extern "C" fn(*mut Buffer, c_int);

    /// A routine that the C library runs when the thread ends itself. The buffer lies on the heap: glibc takes what is not on
    /// the stack for part of a frame that is left already, and runs the routine before it unwinds the first frame.
    struct Registration {
        buffer: Box<UnsafeCell<Buffer>>,
        pop: Pop,
    }

    thread_local! {
        static ENTERED: Cell<bool> = const { Cell::new(false) };
        static REGISTRATION: OnceCell<Registration> = const { OnceCell::new() };
    }

    #[inline]
    pub(crate) fn enter() {
        if !ENTERED.get() {
            register();
        }
    }

    #[cold]
    fn register() {
        ENTERED.set(true);
        let Some((push, pop)) = calls() else { return };
        let pushed = || {
            let empty = Buffer { routine: None, argument: ptr::null_mut(), cancel_type: 0, previous: ptr::null_mut() };
            let buffer = Box::new(UnsafeCell::new(empty));
            // SAFETY: the buffer has the C library's layout, stays where it is, and is taken back before it is freed.
            unsafe { push(buffer.get(), park, ptr::null_mut()) };
            Registration { buffer, pop }
        };
        // A thread that frees its thread-locals is at its end and runs no Python any more.
        let _ = REGISTRATION.try_with(|registration| drop(registration.set(pushed())));
    }

    impl Drop for Registration {
        /// The thread ends in good order.
        fn drop(&mut self) {
            // SAFETY: `register` pushed it on this thread; what was pushed later belonged to frames that are left.
            unsafe { (self.pop)(self.buffer.get(), 0) };
        }
    }

    /// Sleeps for ever if the interpreter goes, as Python 3.14 does itself; a thread that ends otherwise is let go.
    extern "C" fn park(_: *mut c_void) {
        while is_finalizing() {
            // SAFETY: the call takes nothing and only waits.
            unsafe { libc::pause() };
        }
    }

    #[cfg(Py_3_13)]
    fn is_finalizing() -> bool {
        // SAFETY: needs neither the interpreter nor a thread state.
        unsafe { pyo3::ffi::Py_IsFinalizing() != 0 }
    }

    #[cfg(not(Py_3_13))]
    fn is_finalizing() -> bool {
        unsafe extern "C" {
            fn _Py_IsFinalizing() -> c_int;
        }
        // SAFETY: needs neither the interpreter nor a thread state.
        unsafe { _Py_IsFinalizing() != 0 }
    }

    /// The C library's two calls: looked up, because no header promises them.
    fn calls() -> Option<(Push, Pop)> {
        static CALLS: OnceLock<Option<(Push, Pop)>> = OnceLock::new();
        *CALLS.get_or_init(|| {
            // SAFETY: the names end with a NUL; both glibc and musl have them with these signatures, in every version.
            unsafe {
                let push = libc::dlsym(libc::RTLD_DEFAULT, c"_pthread_cleanup_push".as_ptr());
                let pop = libc::dlsym(libc::RTLD_DEFAULT, c"_pthread_cleanup_pop".as_ptr());
                let found = !push.is_null() && !pop.is_null();
                found.then(|| (mem::transmute::<*mut c_void, Push>(push), mem::transmute::<*mut c_void, Pop>(pop)))
            }
        })
    }

    pub(crate) const STATE: fn() -> &'static str = || if calls().is_some() { "on" } else { "missing" };
}

/// Lets the calling thread be parked, instead of unwound, when it comes back for an interpreter that is going away.
///
/// Every way from Python into Rust begins with it: a thread is safe from its first one on.
#[inline]
pub fn enter() {
    crate::lock::assert_none_held();
    system::enter();
}

/// Whether threads are parked at the interpreter's end: `"on"`, `"missing"` where the C library lacks what that takes,
/// `"not needed"` where the stacks of threads that end are not unwound.
pub fn state() -> &'static str {
    system::STATE()
}
