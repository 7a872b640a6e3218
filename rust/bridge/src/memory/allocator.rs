//! Python's small objects given to the C library instead of to pymalloc.
#![allow(unsafe_code)] // replaces two functions of the interpreter's allocator

use std::ffi::{CStr, c_char, c_void};
use std::mem::{self, MaybeUninit};

use pyo3::ffi::{PyMem_GetAllocator, PyMem_SetAllocator, PyMemAllocatorDomain, PyMemAllocatorEx};
use pyo3::prelude::*;

/// The domains that pymalloc serves; the raw one is libc's already.
const DOMAINS: [PyMemAllocatorDomain; 2] =
    [PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, PyMemAllocatorDomain::PYMEM_DOMAIN_MEM];

extern "C" fn system_malloc(_context: *mut c_void, len: usize) -> *mut c_void {
    // SAFETY: any length may be asked for; CPython wants a unique pointer for none.
    unsafe { libc::malloc(len.max(1)) }
}

extern "C" fn system_calloc(_context: *mut c_void, count: usize, len: usize) -> *mut c_void {
    let (count, len) = if count == 0 || len == 0 { (1, 1) } else { (count, len) };
    // SAFETY: libc checks the product; CPython wants a unique pointer for none.
    unsafe { libc::calloc(count, len) }
}

fn current(domain: PyMemAllocatorDomain) -> PyMemAllocatorEx {
    let mut allocator = MaybeUninit::zeroed();
    // SAFETY: fills the struct, whose fields may all be null.
    unsafe {
        PyMem_GetAllocator(domain, allocator.as_mut_ptr());
        allocator.assume_init()
    }
}

/// The interpreter's own name for what serves its objects; `None` where it does not know it, or does not tell.
fn current_name() -> Option<&'static CStr> {
    // SAFETY: the name is a C string; the search changes nothing.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_PyMem_GetCurrentAllocatorName".as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: CPython's function has this signature wherever it exports it.
    let name = unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(found)() };
    // SAFETY: a name that is not null is a string constant.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
}

/// Whether [`use_system`] has been at work.
pub(super) fn is_system(_py: Python<'_>) -> bool {
    let malloc = current(PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ).malloc;
    malloc.is_some_and(|malloc| malloc as usize == system_malloc as *const () as usize)
}

/// Why Python's small objects cannot be given to the C library in this process; `None`: they can.
pub(super) fn obstacle(py: Python<'_>) -> PyResult<Option<String>> {
    if cfg!(Py_GIL_DISABLED) {
        return Ok(Some("this Python has no interpreter lock".into()));
    }
    if py.import("tracemalloc")?.call_method0("is_tracing")?.is_truthy()? {
        return Ok(Some("tracemalloc is on".into()));
    }
    if is_system(py) {
        return Ok(None);
    }
    Ok(match current_name().map(CStr::to_bytes) {
        Some(b"pymalloc") => None,
        Some(other) => Some(format!("the allocator is {}, not plain pymalloc", String::from_utf8_lossy(other))),
        None => Some("the allocator is not known to be plain pymalloc".into()),
    })
}

/// From now on small objects come from the C library. Those that exist stay where they are: pymalloc frees what is its
/// own and passes the rest on. There is no way back. Does nothing twice.
///
/// Call it only where [`obstacle`] names none.
pub(super) fn use_system(py: Python<'_>) {
    if is_system(py) {
        return;
    }
    for domain in DOMAINS {
        let mut allocator = current(domain);
        allocator.malloc = Some(system_malloc);
        allocator.calloc = Some(system_calloc);
        // SAFETY: attached; pymalloc's own `realloc` and `free`, which stay, take blocks of libc as well as its own, and
        // no hook sits on top of it.
        unsafe { PyMem_SetAllocator(domain, &raw mut allocator) };
    }
}
