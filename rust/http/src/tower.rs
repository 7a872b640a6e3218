//! Engines as tower services.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use pybridge::codec::Framing;
use pybridge::{AcquirePermit, CallOptions, ChunkStream, Engine, FailureKind, FrameStream, Permit, StreamError};
use tower_service::Service;

/// A request to an engine: the encoded request of the handler, and what is said about the call.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Call {
    /// Encoded in the engine's format.
    pub body: Bytes,
    /// Passed to the engine as they are.
    pub options: CallOptions,
}

impl Call {
    /// A call with these bytes and no options.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), options: CallOptions::default() }
    }

    /// Sets the options.
    #[must_use]
    pub fn options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }
}

/// An engine as a service that answers with framed chunks.
///
/// Its readiness is the engine's admission: it is ready when it holds a place for the next call, and stands in one line with all
/// others who wait for the engine. Where as many wait as may (`max_queue`), it is ready as well and refuses the call with
/// [`FailureKind::Overloaded`], since an error of readiness means that a service is broken. That error comes when the engine
/// drains or is closed. Clones wait for places of their own.
///
/// ```no_run
/// # async fn f(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
/// use pybridge::codec::Framing;
/// use pybridge_http::{Call, ChunkService};
/// use tower::{Service, ServiceExt};
///
/// let mut service = ChunkService::new(engine, Framing::Sse);
/// let chunks = service.ready().await?.call(Call::new(&br#"{"prompt": "Hello"}"#[..])).await?;
/// # drop(chunks);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ChunkService {
    door: Door,
    framing: Framing,
}

/// An engine as a service that answers with frames; its readiness is that of [`ChunkService`].
#[derive(Debug, Clone)]
pub struct FrameService {
    door: Door,
}

impl ChunkService {
    /// A service that answers calls of `engine` in this framing.
    pub fn new(engine: Engine, framing: Framing) -> Self {
        Self { door: Door::new(engine), framing }
    }
}

impl FrameService {
    /// A service that answers calls of `engine`.
    pub fn new(engine: Engine) -> Self {
        Self { door: Door::new(engine) }
    }
}

/// What a service has of its next place.
#[derive(Debug)]
struct Door {
    engine: Engine,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Unasked,
    Asked(AcquirePermit),
    Ready(Result<Permit, StreamError>),
}

impl Clone for Door {
    fn clone(&self) -> Self {
        Self::new(self.engine.clone())
    }
}

impl Door {
    fn new(engine: Engine) -> Self {
        Self { engine, next: Next::Unasked }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            match &mut self.next {
                Next::Unasked => self.next = Next::Asked(self.engine.acquire_permit()),
                Next::Asked(permit) => match std::task::ready!(Pin::new(permit).poll(context)) {
                    Err(error) if error.kind() != Some(FailureKind::Overloaded) => {
                        self.next = Next::Unasked;
                        return Poll::Ready(Err(error));
                    }
                    permit => self.next = Next::Ready(permit),
                },
                Next::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// The place for the next call.
    ///
    /// # Panics
    /// The service was not ready, which is a defect of its caller.
    fn take(&mut self) -> Result<Permit, StreamError> {
        match std::mem::replace(&mut self.next, Next::Unasked) {
            Next::Ready(permit) => permit,
            Next::Unasked | Next::Asked(_) => {
                panic!("`poll_ready` must say that the service is ready before each `call`")
            }
        }
    }
}

impl Service<Call> for ChunkService {
    type Response = ChunkStream;
    type Error = StreamError;
    type Future = Ready<Result<ChunkStream, StreamError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.door.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Call { body, options } = call;
        ready(self.door.take().and_then(|permit| permit.chunks(body, self.framing, options)))
    }
}

impl Service<Call> for FrameService {
    type Response = FrameStream;
    type Error = StreamError;
    type Future = Ready<Result<FrameStream, StreamError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.door.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Call { body, options } = call;
        ready(self.door.take().and_then(|permit| permit.frames(body, options)))
    }
}
