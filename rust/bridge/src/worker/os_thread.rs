//! Name, number and processor of the calling thread.
#![allow(unsafe_code)] // std has neither for a thread that Python started

use std::ffi::CString;
use std::io;

/// The number by which Python knows the calling thread.
pub(super) fn identifier() -> usize {
    // SAFETY: the call only tells which thread this is.
    unsafe { libc::pthread_self() as usize }
}

/// Gives the calling thread its name in the system's lists; at most 15 bytes of it show.
pub(super) fn name_current(name: &str) {
    let short: String = name.chars().filter(char::is_ascii).take(15).collect();
    let Ok(short) = CString::new(short) else { return };
    #[cfg(target_os = "linux")]
    // SAFETY: the string is NUL-terminated, at most 16 bytes with its end, and outlives the call.
    unsafe {
        libc::pthread_setname_np(libc::pthread_self(), short.as_ptr());
    }
    #[cfg(target_os = "macos")]
    // SAFETY: as above.
    unsafe {
        libc::pthread_setname_np(short.as_ptr());
    }
}

/// Keeps the calling thread on one processor.
#[cfg(target_os = "linux")]
pub(super) fn pin_current(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: an all-zero set is the empty set; the index was checked; the set outlives the call.
    let status = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Other systems choose themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin_current(_cpu: usize) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
