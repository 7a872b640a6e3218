//! The ends of connections whose peers do not take what was sent.
#![allow(unsafe_code)] // nothing safe asks the kernel how much it still holds

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::connection_progress::Progress;

/// The TCP connections of a server that are open.
///
/// One that is cut off is reset when it is closed, if bytes were sent that the peer has not acknowledged. A close alone would keep
/// them in the kernel, behind a peer that takes nothing, and would not be told to it either: the end of a stream comes after its
/// bytes. Unix sockets need no reset: what was sent is with the peer already, which is told at once.
#[derive(Debug, Default)]
pub(super) struct OpenSockets(Mutex<HashMap<RawFd, Arc<Progress>>>);

impl OpenSockets {
    /// Adds a connection, which [`Self::remove`] takes away before its socket is closed.
    pub(super) fn add(&self, socket: &TcpStream, progress: Arc<Progress>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(socket.as_raw_fd(), progress);
    }

    /// Takes a connection away that is about to be closed, as a reset if it is cut off.
    pub(super) fn remove(&self, socket: &TcpStream) {
        let progress = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&socket.as_raw_fd());
        if progress.is_some_and(|progress| progress.is_cut_off()) {
            reset_if_unsent(&SockRef::from(socket));
        }
    }

    /// Has those that are in the middle of an answer reset when the process ends, as far as they would be if they were closed now.
    pub(super) fn abandon(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (&socket, _) in open.iter().filter(|(_, progress)| progress.is_cut_off()) {
            // SAFETY: it is open: whoever closes it takes it away before, and waits for the lock.
            let socket = unsafe { BorrowedFd::borrow_raw(socket) };
            reset_if_unsent(&SockRef::from(&socket));
        }
    }
}

fn reset_if_unsent(socket: &SockRef<'_>) {
    if unacknowledged(socket) > 0 {
        // A socket that takes no options is closed already.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// How many bytes were sent that the peer has not acknowledged.
#[cfg(target_os = "linux")]
fn unacknowledged(socket: &SockRef<'_>) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as the socket is borrowed, and the kernel writes one `int` to where `bytes` is.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if failed == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// The same where the kernel does not tell: as if there were some.
#[cfg(not(target_os = "linux"))]
fn unacknowledged(_socket: &SockRef<'_>) -> usize {
    1
}
