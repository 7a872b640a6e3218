//! Peak memory of a piece of work, the interpreter's and our own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pyo3::Python;
use pyo3::ffi::{self, PyMemAllocatorDomain, PyMemAllocatorEx};

/// Bytes held, and the most there were since the last look.
pub struct Meter {
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl Meter {
    const fn new() -> Self {
        Self { held: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    fn add(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Relaxed).wrapping_add(bytes);
        self.peak.fetch_max(held, Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Runs `work`; its result and the bytes it had at most beside those from before.
    pub fn peak<R>(&self, work: impl FnOnce() -> R) -> (R, usize) {
        let before = self.held.load(Relaxed);
        self.peak.store(before, Relaxed);
        let result = work();
        (result, self.peak.load(Relaxed) - before)
    }
}

/// The Rust side.
pub static RUST: Meter = Meter::new();
/// The interpreter's objects and their storage.
pub static PYTHON: Meter = Meter::new();

/// The system's allocator, metered.
pub struct Counted;

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        RUST.add(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        RUST.sub(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        RUST.add(size);
        RUST.sub(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Meters the interpreter's allocations from now on, those of `malloc`.
pub fn count_python(_py: Python<'_>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut ours = PyMemAllocatorEx {
            ctx: std::ptr::null_mut(),
            malloc: Some(malloc),
            calloc: Some(calloc),
            realloc: Some(realloc),
            free: Some(free),
        };
        for domain in [PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, PyMemAllocatorDomain::PYMEM_DOMAIN_MEM] {
            // SAFETY: attached; blocks made before came from the same `malloc`.
            unsafe { ffi::PyMem_SetAllocator(domain, &raw mut ours) };
        }
    });
}

fn size(at: *mut c_void) -> usize {
    // SAFETY: null or a block of `malloc`.
    unsafe { libc::malloc_usable_size(at) }
}

extern "C" fn malloc(_: *mut c_void, bytes: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    let made = unsafe { libc::malloc(bytes.max(1)) };
    PYTHON.add(size(made));
    made
}

extern "C" fn calloc(_: *mut c_void, count: usize, bytes: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    let made = unsafe { libc::calloc(count.max(1), bytes.max(1)) };
    PYTHON.add(size(made));
    made
}

extern "C" fn realloc(_: *mut c_void, at: *mut c_void, bytes: usize) -> *mut c_void {
    let before = size(at);
    // SAFETY: null or a block of `malloc`, which the caller gives up.
    let made = unsafe { libc::realloc(at, bytes.max(1)) };
    if !made.is_null() {
        PYTHON.add(size(made));
        PYTHON.sub(before);
    }
    made
}

extern "C" fn free(_: *mut c_void, at: *mut c_void) {
    PYTHON.sub(size(at));
    // SAFETY: null or a block of `malloc`, which the caller gives up.
    unsafe { libc::free(at) };
}
