//! The socket of one connection, which notes what goes through it.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::progress::Progress;

/// What every client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection as it was accepted.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Transport {
    /// The address of the other end; `None` on a Unix socket.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Self::Unix(_) => None,
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// The socket of one connection, which notes in [`Progress`] what goes through it.
#[derive(Debug)]
pub(super) struct Socket {
    transport: Transport,
    progress: Arc<Progress>,
    reading: Reading,
    /// How much of [`PREFACE`] has come; `None`: something else has come, or all of it, or nobody looks.
    preface: Option<usize>,
}

/// How the last read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It waits: whoever reads is woken when something comes, the end as well.
    Waits,
    /// It gave bytes: nobody is woken until the next one.
    Gave,
    /// There is no more.
    Ended,
}

impl Socket {
    /// `plain`: HTTP is spoken here, without TLS.
    pub(super) fn new(transport: Transport, progress: Arc<Progress>, plain: bool) -> Self {
        Self { transport, progress, reading: Reading::Gave, preface: plain.then_some(0) }
    }

    fn io(&mut self) -> Pin<&mut dyn Duplex> {
        let io: &mut dyn Duplex = match &mut self.transport {
            Transport::Tcp(stream) => stream,
            Transport::Unix(stream) => stream,
        };
        Pin::new(io)
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Some(seen) = self.preface {
            let rest = &PREFACE[seen..];
            let length = rest.len().min(bytes.len());
            self.preface = (rest[..length] == bytes[..length] && length < rest.len()).then_some(seen + length);
            if length == rest.len() && rest == &bytes[..length] {
                self.progress.speaks_streams();
            }
        }
        self.progress.received();
    }

    fn written(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.progress.stalls(),
            Poll::Ready(_) => self.progress.flows(),
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
        let bytes = &buffer.filled()[before..];
        self.reading = match &read {
            Poll::Pending => Reading::Waits,
            Poll::Ready(Ok(())) if !bytes.is_empty() => Reading::Gave,
            Poll::Ready(_) => Reading::Ended,
        };
        if self.reading == Reading::Gave {
            self.received(bytes);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write(context, bytes);
        self.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write_vectored(context, parts);
        self.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
