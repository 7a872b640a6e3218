//! A file descriptor that wakes an event loop: an eventfd on Linux, a socket pair elsewhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

/// Written by any thread, watched by one loop.
#[derive(Debug)]
pub(crate) struct Wakeup {
    reader: File,
    #[cfg(not(target_os = "linux"))]
    writer: File,
}

impl Wakeup {
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { reader: eventfd()? })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> io::Result<Self> {
        use std::os::fd::OwnedFd;
        let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader: File::from(OwnedFd::from(reader)), writer: File::from(OwnedFd::from(writer)) })
    }

    /// What the loop watches for reading.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Makes the descriptor readable. A full counter or pipe is readable already, so failure to write is success.
    pub(crate) fn notify(&self) {
        #[cfg(target_os = "linux")]
        let mut writer = &self.reader;
        #[cfg(not(target_os = "linux"))]
        let mut writer = &self.writer;
        drop(writer.write(&1u64.to_ne_bytes()));
    }

    /// Makes the descriptor unreadable until the next `notify`. The child of a fork leaves the parent's wake-ups alone.
    pub(crate) fn clear(&self) {
        if crate::base::fork::forked() {
            return;
        }
        let mut sink = [0u8; 64];
        #[cfg(target_os = "linux")]
        drop((&self.reader).read(&mut sink[..8]));
        #[cfg(not(target_os = "linux"))]
        while (&self.reader).read(&mut sink).is_ok_and(|count| count == sink.len()) {}
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // std has no eventfd
fn eventfd() -> io::Result<File> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: no pointer is passed; the descriptor that comes back belongs to nobody else.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was opened just above and is owned by nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
