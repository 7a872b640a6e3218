//! The body of a request on its way into the engine's memory.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use pybridge::{Engine, StreamError};

use super::connection_progress::Progress;
use super::upload_pace::{LEAST_BYTES, Pace};

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// The client broke it off.
    Gone(hyper::Error),
    /// It is in chunks that are none: nobody knows where it ends.
    Broken,
    /// It came too slowly.
    Slow,
    /// The engine does not take it.
    Refused(StreamError),
}

impl From<hyper::Error> for Unread {
    fn from(error: hyper::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput};
        // hyper has no other name for it. Where the client broke off it is an unexpected end, or an error of the socket.
        let cause = error.source().and_then(<dyn Error>::downcast_ref::<io::Error>);
        match cause.map(io::Error::kind) {
            Some(InvalidData | InvalidInput) => Self::Broken,
            _ => Self::Gone(error),
        }
    }
}

/// The body of a request, and whether all of it was read: hyper does not tell that of a body in chunks.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) body: Incoming,
    is_read: bool,
}

impl Upload {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, is_read: false }
    }

    /// True if nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_read || self.body.is_end_stream()
    }
}

/// Reads a body of at most `most` bytes. `wait`: the time for each [`LEAST_BYTES`].
pub(super) async fn receive(
    engine: &Engine,
    progress: &Arc<Progress>,
    upload: &mut Upload,
    most: usize,
    wait: Duration,
) -> Result<Bytes, Unread> {
    let Upload { body, is_read } = upload;
    let declared = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut received = engine.request_body(declared, most).map_err(Unread::Refused)?;
    let mut pace = Pace::new(progress, wait);
    let mut since = 0;
    while let Some(frame) = poll_fn(|context| poll_frame(body, &mut pace, context)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        received.push(&piece).map_err(Unread::Refused)?;
        if received.len() - since >= LEAST_BYTES {
            since = received.len();
            pace.goes_on();
        }
    }
    *is_read = true;
    Ok(received.finish())
}

/// The next frame.
fn poll_frame(
    body: &mut Incoming,
    pace: &mut Pace,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
        return Poll::Ready(frame.map(|frame| frame.map_err(Unread::from)));
    }
    pace.poll_lost(context).map(|()| Some(Err(Unread::Slow)))
}
