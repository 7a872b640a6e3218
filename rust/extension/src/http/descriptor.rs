//! Descriptors that Python gives away, and sockets of the runtime made of them.
#![allow(unsafe_code)] // a number becomes the owner of a descriptor

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use tokio::net::UnixStream;

/// The descriptor with this number, which is the caller's no more: what `socket.detach()` gives.
///
/// Raises `OSError` where there is none.
pub(super) fn take(number: RawFd) -> PyResult<OwnedFd> {
    let closed = || PyOSError::new_err(format!("there is no descriptor {number}"));
    if number < 0 {
        return Err(closed());
    }
    // SAFETY: the number is not -1, and the borrow ends before the descriptor could be closed.
    rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).map_err(|_| closed())?;
    // SAFETY: it is open, and the package gives every descriptor away once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A socket of the runtime, which has to be entered.
///
/// # Errors
/// It is no stream of the Unix domain.
pub(super) fn stream_of(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
