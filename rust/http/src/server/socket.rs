//! The socket of one connection, which notes what goes through it.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client_hangup::Hangup;
use super::connection_progress::Progress;
use super::server_state::Site;
use super::transport::Transport;

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// The socket of one connection, which notes in [`Progress`] what goes through it.
#[derive(Debug)]
pub(super) struct Socket {
    transport: Transport,
    site: Arc<Site>,
    progress: Arc<Progress>,
    reading: Reading,
    /// Made when it is needed first.
    hangup: Option<Hangup>,
}

/// How the last read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It waits since this turn of the connection: whoever reads is woken when something comes, the end as well.
    Waits(u64),
    /// It gave bytes: nobody is woken until the next one.
    Gave,
    /// There is no more.
    Ended,
}

impl Socket {
    pub(super) fn new(transport: Transport, site: Arc<Site>, progress: Arc<Progress>) -> Self {
        if let Transport::Tcp(stream, _) = &transport {
            site.sockets.add(stream, Arc::clone(&progress));
        }
        Self { transport, site, progress, reading: Reading::Gave, hangup: None }
    }

    fn io(&mut self) -> Pin<&mut dyn Duplex> {
        let io: &mut dyn Duplex = match &mut self.transport {
            Transport::Tcp(stream, _) => stream,
            Transport::Unix(stream) => stream,
        };
        Pin::new(io)
    }

    /// Notes what became of a write.
    fn written(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.progress.flows();
            return written;
        }
        self.progress.stalls();
        self.check(context)?;
        Poll::Pending
    }

    /// Notices a client that has gone while hyper does not read, because bytes have come behind the request that is answered, or
    /// because nothing can be written. Where hyper reads, it notices that itself.
    ///
    /// # Errors
    /// The client has gone, or sends no more.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_read = self.reading == Reading::Waits(self.progress.turn()) || self.reading == Reading::Ended;
        if is_read || !self.progress.is_live() {
            return Ok(());
        }
        if self.hangup.is_none() {
            // Without a descriptor for it the client is noticed by the next write.
            self.hangup = match &self.transport {
                Transport::Tcp(stream, _) => Hangup::of(stream.as_fd()),
                Transport::Unix(stream) => Hangup::of(stream.as_fd()),
            }
            .ok();
        }
        match &self.hangup {
            Some(hangup) if hangup.poll(context).is_ready() => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Transport::Tcp(stream, _) = &self.transport {
            self.site.sockets.remove(stream);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.io().poll_read(context, buffer);
        self.reading = match &read {
            Poll::Pending => Reading::Waits(self.progress.turn()),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => Reading::Gave,
            Poll::Ready(_) => Reading::Ended,
        };
        self.progress.receives(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write_vectored(context, parts);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back here. hyper flushes whenever it has looked at a connection, and has read what it wanted by then.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check(context))
    }

    /// Ends what is sent. Where bytes of the client are left unread, they are read first: to close before would make the
    /// kernel throw the last answer away.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.io().poll_shutdown(context))?;
        if self.reading != Reading::Gave && !self.progress.has_unread() {
            return Poll::Ready(Ok(()));
        }
        self.progress.closes();
        let mut space = [0; 4096];
        while self.reading != Reading::Ended {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(self.as_mut().poll_read(context, &mut buffer))?;
        }
        Poll::Ready(Ok(()))
    }
}
