//! The body of a request on its way into the engine's memory, at the pace that a client must keep.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use pybridge::{Engine, StreamError};
use tokio::time::Instant;

use crate::answer::{Timer, after};

/// How much a client has to send within `body_timeout`, unless the body ends.
const LEAST_BYTES: usize = 4 << 10;

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

/// Reads a body of at most `most` bytes. `pace`: the time for each [`LEAST_BYTES`].
pub(super) async fn receive(
    engine: &Engine,
    body: &mut Incoming,
    most: usize,
    pace: Duration,
) -> Result<Bytes, Unread> {
    let declared = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut received = engine.request_body(declared, most).map_err(Unread::Refused)?;
    let mut timer = Timer::default();
    let mut due = None;
    let mut since = 0;
    while let Some(frame) = poll_fn(|context| poll_frame(body, &mut timer, &mut due, pace, context)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        received.push(&piece).map_err(Unread::Refused)?;
        if received.len() - since >= LEAST_BYTES {
            (due, since) = (None, received.len());
        }
    }
    Ok(received.finish())
}

/// The next frame. `due`: when more has to have come; it is set by the first wait, so that bodies that are there need no clock.
fn poll_frame(
    body: &mut Incoming,
    timer: &mut Timer,
    due: &mut Option<Instant>,
    pace: Duration,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
        return Poll::Ready(frame.map(|frame| frame.map_err(Unread::from)));
    }
    let due = *due.get_or_insert_with(|| after(Instant::now(), pace));
    timer.poll(due, context).map(|()| Some(Err(Unread::Slow)))
}
