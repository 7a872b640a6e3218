//! The end of a connection that nobody reads from.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Tells when the other side has ended a connection, without a read: bytes that it sent before stay where they are.
///
/// It has a file descriptor of its own, so that what the runtime knows of the socket's readiness stays as it is. Only readiness
/// is asked of it, which is the same for every stream, whatever its family.
#[derive(Debug)]
pub(super) struct Hangup(TcpStream);

impl Hangup {
    /// # Errors
    /// The process has no file descriptor left.
    pub(super) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        TcpStream::from_std(socket.try_clone_to_owned()?.into()).map(Self)
    }

    /// Ready when the other side sends no more, or is gone.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.0.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            match pin!(self.0.ready(Interest::READABLE)).poll(context) {
                Poll::Ready(Ok(ready)) if !ready.is_read_closed() => self.forget_readiness(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
    }

    /// What has come so far is known: the runtime tells when there is more.
    fn forget_readiness(&self) {
        let _ = self.0.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}
