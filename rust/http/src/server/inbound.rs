//! The stream of one connection as HTTP reads it, on TLS or not, which notes what the client is about to send.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::progress::Progress;

/// What every client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream which notes in [`Progress`] where the heads of requests begin, and over HTTP/2 where they end. Where TLS is
/// spoken it is in front of that, so that all connections are looked at in the same way.
#[derive(Debug)]
pub(super) struct Inbound<S> {
    stream: S,
    progress: Arc<Progress>,
    spoken: Spoken,
}

/// What the client speaks, by its first bytes, as hyper tells it.
#[derive(Debug)]
enum Spoken {
    /// So much of [`PREFACE`] has come, and nothing else.
    Unknown(usize),
    Http1,
    Http2(Frames),
}

impl<S> Inbound<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, spoken: Spoken::Unknown(0) }
    }

    fn received(&mut self, mut bytes: &[u8]) {
        if let Spoken::Unknown(seen) = self.spoken {
            let rest = &PREFACE[seen..];
            let length = rest.len().min(bytes.len());
            if rest[..length] != bytes[..length] {
                self.spoken = Spoken::Http1;
            } else if length < rest.len() {
                self.spoken = Spoken::Unknown(seen + length);
            } else {
                self.progress.speaks_streams();
                self.spoken = Spoken::Http2(Frames::default());
                bytes = &bytes[length..];
            }
        }
        match &mut self.spoken {
            Spoken::Unknown(_) | Spoken::Http1 => self.progress.received(),
            Spoken::Http2(frames) => {
                if frames.take(bytes) {
                    self.progress.frame_ended();
                }
                if frames.are_open() {
                    self.progress.head_begun();
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.received(bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
