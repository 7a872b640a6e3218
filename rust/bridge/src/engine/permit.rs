//! Permits: places of an engine that Rust hosts wait for, and hold before they have a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::call_refusals::{closed, forked, overloaded};
use super::rust_engine::Engine;
use super::submit::no_place;
use crate::codec::Framing;
use crate::consumer::{ChunkStream, FrameStream, StreamError};
use crate::state::{CallOptions, Lifecycle, PermitOutcome};

/// A place of an engine, held for one call to come; dropping it gives the place back.
///
/// It is one of `max_concurrency`. What a request weighs is known with the request only: one that is too large for the memory
/// that is free (`max_held_bytes`) still waits, before everybody who came later.
#[derive(Debug)]
pub struct Permit {
    engine: Engine,
    /// `None`: a call has it.
    ticket: Option<u64>,
}

/// Waits for a [`Permit`], in one line with the calls that wait. Dropping it leaves the line.
#[derive(Debug)]
#[must_use = "it stands in the line from its first poll on"]
pub struct AcquirePermit {
    engine: Engine,
    /// Its number in the line.
    ticket: Option<u64>,
}

impl Engine {
    /// Waits until a call may start, and holds its place.
    ///
    /// For hosts that read a request only when it can be served, or that offer readiness, as tower's services do. A plain
    /// [`frames`](Self::frames) needs none of this: it waits inside the engine.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// use pybridge::CallOptions;
    ///
    /// let permit = engine.acquire_permit().await?;
    /// let frames = permit.frames(&br#"{"prompt": "Hello"}"#[..], CallOptions::default())?;
    /// # drop(frames);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FailureKind::Overloaded`](crate::FailureKind): `max_queue` calls and permits wait already;
    /// [`FailureKind::Closed`](crate::FailureKind): the engine drains or is closed, also while one waits.
    pub fn acquire_permit(&self) -> AcquirePermit {
        AcquirePermit { engine: self.clone(), ticket: None }
    }
}

impl Permit {
    /// Calls the handler in this place, as [`Engine::frames`].
    ///
    /// # Errors
    /// As [`Engine::frames`], but for [`FailureKind::Overloaded`](crate::FailureKind).
    pub fn frames(self, request: impl Into<Bytes>, options: CallOptions) -> Result<FrameStream, StreamError> {
        self.engine.clone().start(request.into(), Framing::None, options, Some(self)).map(FrameStream::new)
    }

    /// Calls the handler in this place, as [`Engine::chunks`].
    ///
    /// # Errors
    /// As [`Engine::chunks`], but for [`FailureKind::Overloaded`](crate::FailureKind).
    pub fn chunks(
        self,
        request: impl Into<Bytes>,
        framing: Framing,
        options: CallOptions,
    ) -> Result<ChunkStream, StreamError> {
        self.engine.clone().start(request.into(), framing, options, Some(self)).map(ChunkStream::new)
    }

    /// Its number in the line, for the call that takes over the place.
    pub(super) fn into_ticket(mut self) -> Option<u64> {
        self.ticket.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.engine.state.release_permit();
        }
    }
}

impl AcquirePermit {
    fn poll_ticket(&mut self, context: &mut Context<'_>) -> Poll<Result<u64, StreamError>> {
        crate::base::fork::check_fork().map_err(|_| forked())?;
        let state = Arc::clone(&self.engine.state);
        if let Some(ticket) = self.ticket {
            let granted = std::task::ready!(state.admission.poll_granted(ticket, context.waker()));
            self.ticket = None;
            return Poll::Ready(granted.then_some(ticket).ok_or_else(closed));
        }
        let asked = state.admission.acquire_permit(context.waker());
        // Whoever ends the engine's service sends away those who stand in the line by then; the others see it here.
        if state.lifecycle() != Lifecycle::Serving {
            match asked {
                PermitOutcome::Granted(_) => state.release_permit(),
                PermitOutcome::Waiting(ticket) => self.leave(ticket),
                PermitOutcome::Refused(_) => {}
            }
            return Poll::Ready(Err(closed()));
        }
        match asked {
            PermitOutcome::Granted(ticket) => Poll::Ready(Ok(ticket)),
            PermitOutcome::Refused(reason) => Poll::Ready(Err(overloaded(no_place(&self.engine.state, &reason)))),
            PermitOutcome::Waiting(ticket) => {
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }

    fn leave(&self, ticket: u64) {
        if self.engine.state.admission.forget_permit(ticket) {
            self.engine.state.release_permit();
        }
    }
}

impl Future for AcquirePermit {
    type Output = Result<Permit, StreamError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = std::task::ready!(self.poll_ticket(context));
        let permit = ticket.map(|ticket| Permit { engine: self.engine.clone(), ticket: Some(ticket) });
        Poll::Ready(permit.inspect_err(|_| self.engine.state.metrics.count_refused()))
    }
}

impl Drop for AcquirePermit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.leave(ticket);
        }
    }
}
