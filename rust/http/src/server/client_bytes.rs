//! The bytes that a client sends, as HTTP reads them: their protocol, and the beginnings and ends of its heads.

use std::sync::Arc;

use super::connection_progress::Progress;
use super::http1_messages::Messages;
use super::http2_frames::Frames;

/// What every client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Notes in [`Progress`] where the heads of requests begin and end. It sees what HTTP reads: where TLS is
/// spoken that is what was encrypted, so that all connections are looked at in the same way.
#[derive(Debug)]
pub(super) struct Inbound {
    progress: Arc<Progress>,
    spoken: Spoken,
}

/// What the client speaks, by its first bytes, as hyper tells it.
#[derive(Debug)]
enum Spoken {
    /// So much of [`PREFACE`] has come, and nothing else.
    Unknown(usize),
    Http1(Messages),
    Http2(Frames),
}

impl Inbound {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self { progress, spoken: Spoken::Unknown(0) }
    }

    /// Takes what was read; nothing at the end of the stream.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Spoken::Unknown(seen) = self.spoken {
            let rest = &PREFACE[seen..];
            let length = rest.len().min(bytes.len());
            if rest[..length] != bytes[..length] {
                let mut messages = Messages::default();
                messages.take(&PREFACE[..seen]);
                self.spoken = Spoken::Http1(messages);
            } else if length < rest.len() {
                self.spoken = Spoken::Unknown(seen + length);
            } else {
                self.progress.speaks_streams();
                self.spoken = Spoken::Http2(Frames::default());
                bytes = &bytes[length..];
            }
        }
        match &mut self.spoken {
            Spoken::Unknown(_) => self.progress.head_begun(),
            Spoken::Http1(messages) => {
                messages.take(bytes);
                if messages.are_open() {
                    self.progress.head_begun();
                } else {
                    self.progress.head_ended();
                }
            }
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
