//! Calls of the C library's allocator: usage, trimming, thresholds. Each function is looked up when it is wanted.
#![allow(unsafe_code)] // calls C functions found at run time

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::ptr;

/// glibc's parameter for the size from which a block is a mapping of its own.
const M_MMAP_THRESHOLD: c_int = -3;
/// glibc's parameter for the free bytes at the end of the heap above which they go back to the system.
const M_TRIM_THRESHOLD: c_int = -1;

/// What the mapping threshold is before the first large `free` raises it; setting it also stops it from moving.
const PINNED_THRESHOLD: c_int = 128 << 10;

/// glibc's `struct mallinfo2`.
#[repr(C)]
#[derive(Default)]
struct MallInfo {
    arena: usize,
    ordblks: usize,
    smblks: usize,
    hblks: usize,
    hblkhd: usize,
    usmblks: usize,
    fsmblks: usize,
    uordblks: usize,
    fordblks: usize,
    keepcost: usize,
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string; the search changes nothing.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// Where the library that holds `address` begins.
fn library_of(address: *mut c_void) -> Option<*mut c_void> {
    let mut found = mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked about; the result is read only if the call filled it, and zeros are valid too.
    let found = unsafe { (libc::dladdr(address, found.as_mut_ptr()) != 0).then(|| found.assume_init())? };
    Some(found.dli_fbase)
}

/// True if `address` only leads to a function that lies elsewhere: a program that is not position-independent and takes
/// a function's address has an entry of its own for it, which stands for the function everywhere.
#[cfg(target_os = "linux")]
fn is_entry(address: *mut c_void) -> bool {
    /// Asks `dladdr1` for the symbol's description.
    const RTLD_DL_SYMENT: c_int = 1;
    type Ask = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info, *mut *const libc::Elf64_Sym, c_int) -> c_int;
    let ask = symbol(c"dladdr1");
    if ask.is_null() {
        return false;
    }
    let (mut info, mut description) = (mem::MaybeUninit::<libc::Dl_info>::zeroed(), ptr::null());
    // SAFETY: glibc's `dladdr1` has this signature; any address may be asked about, and what it describes stays mapped.
    unsafe {
        let ask = mem::transmute::<*mut c_void, Ask>(ask);
        ask(address, info.as_mut_ptr(), &raw mut description, RTLD_DL_SYMENT) != 0
            && !description.is_null()
            && (*description).st_shndx == 0
    }
}

/// Programs of other systems have none.
#[cfg(not(target_os = "linux"))]
fn is_entry(_address: *mut c_void) -> bool {
    false
}

/// The library whose malloc is in use.
fn malloc_library() -> Option<*mut c_void> {
    // Whatever takes malloc's place defines all of these.
    let mut family = [c"malloc", c"calloc", c"realloc", c"memalign"].into_iter().map(symbol);
    library_of(family.find(|&found| !found.is_null() && !is_entry(found))?)
}

/// Why the functions below, [`trim`] apart, can do nothing; `None`: malloc is glibc's own.
pub(super) fn obstacle() -> Option<&'static str> {
    let version = symbol(c"gnu_get_libc_version");
    if version.is_null() {
        return Some("the C library is not glibc");
    }
    (library_of(version) != malloc_library()).then_some("malloc is not the C library's own")
}

/// A function of glibc's malloc, if that is the one in use.
fn function(name: &CStr) -> Option<*mut c_void> {
    if obstacle().is_some() {
        return None;
    }
    let found = symbol(name);
    (!found.is_null()).then_some(found)
}

/// jemalloc's name for giving back the free pages of all its arenas.
const PURGE_ALL: &CStr = c"arena.4096.purge";

/// jemalloc's control function, if jemalloc is the malloc in use.
fn jemalloc_control() -> Option<*mut c_void> {
    let found = symbol(c"mallctl");
    (!found.is_null() && library_of(found) == malloc_library()).then_some(found)
}

/// Why [`trim`] can do nothing; `None`: malloc is glibc's own or jemalloc.
pub(super) fn trim_obstacle() -> Option<&'static str> {
    if jemalloc_control().is_some() { None } else { obstacle() }
}

/// Gives free pages back to the system; false: it cannot be asked. Takes milliseconds.
pub(super) fn trim() -> bool {
    if let Some(found) = jemalloc_control() {
        type Control = unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;
        // SAFETY: jemalloc's `mallctl` has this signature.
        let mallctl = unsafe { mem::transmute::<*mut c_void, Control>(found) };
        // SAFETY: the name is a C string; this control takes and gives no value.
        return unsafe { mallctl(PURGE_ALL.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) == 0 };
    }
    let Some(found) = function(c"malloc_trim") else { return false };
    // SAFETY: glibc's `malloc_trim` has this signature.
    let malloc_trim: unsafe extern "C" fn(usize) -> c_int = unsafe { mem::transmute(found) };
    // SAFETY: it takes malloc's own locks and touches free memory only.
    unsafe { malloc_trim(0) };
    true
}

/// Makes every block of 128 KiB and more a mapping of its own, for good; false: it cannot be told.
pub(super) fn pin_threshold() -> bool {
    let Some(found) = function(c"mallopt") else { return false };
    // SAFETY: glibc's `mallopt` has this signature.
    let mallopt: unsafe extern "C" fn(c_int, c_int) -> c_int = unsafe { mem::transmute(found) };
    // SAFETY: it takes malloc's own locks; both values are valid.
    unsafe { mallopt(M_MMAP_THRESHOLD, PINNED_THRESHOLD) == 1 && mallopt(M_TRIM_THRESHOLD, PINNED_THRESHOLD) == 1 }
}

/// Bytes that malloc has handed out and bytes that it keeps free. Walks malloc's free lists under its locks.
pub(super) fn usage() -> Option<(usize, usize)> {
    let found = function(c"mallinfo2")?;
    // SAFETY: glibc's `mallinfo2` has this signature since it exists.
    let mallinfo2: unsafe extern "C" fn() -> MallInfo = unsafe { mem::transmute(found) };
    // SAFETY: it only reads, under malloc's own locks.
    let info = unsafe { mallinfo2() };
    Some((info.uordblks + info.hblkhd, info.fordblks))
}

/// Number of malloc's arenas. Walks malloc's free lists under its locks.
pub(super) fn arenas() -> Option<usize> {
    let (found, open) = (function(c"malloc_info")?, function(c"open_memstream")?);
    // SAFETY: the C library's functions have these signatures.
    let (malloc_info, open_memstream) = unsafe {
        (
            mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, *mut libc::FILE) -> c_int>(found),
            mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut *mut c_char, *mut usize) -> *mut libc::FILE>(open),
        )
    };
    let (mut text, mut len) = (ptr::null_mut::<c_char>(), 0_usize);
    // SAFETY: the stream writes through the two pointers until it is closed, which is before they are read.
    let written = unsafe {
        let stream = open_memstream(&raw mut text, &raw mut len);
        !stream.is_null() && {
            let status = malloc_info(0, stream);
            libc::fclose(stream) == 0 && status == 0
        }
    };
    if text.is_null() {
        return None;
    }
    // SAFETY: a closed memory stream leaves `len` bytes at `text`.
    let report = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let count = report.windows(HEAP.len()).filter(|window| *window == HEAP).count();
    // SAFETY: the memory of the stream is the caller's to free.
    unsafe { libc::free(text.cast()) };
    written.then_some(count)
}

/// What begins the part of an arena in `malloc_info`'s report.
const HEAP: &[u8] = b"<heap nr=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_what_is_allocated() {
        let Some((before, _)) = usage() else { return assert!(obstacle().is_some()) };
        let block = vec![1_u8; 64 << 20];
        let (during, _) = usage().expect("was there before");
        drop(block);
        assert!(during >= before + (60 << 20), "{before} -> {during}");
    }

    #[test]
    fn there_is_at_least_one_arena_where_there_are_any() {
        assert!(arenas().is_none_or(|arenas| arenas >= 1));
        assert_eq!(arenas().is_none(), obstacle().is_some());
    }

    #[test]
    fn a_trim_is_done_where_nothing_stands_in_its_way() {
        assert_eq!(trim(), trim_obstacle().is_none());
    }
}
