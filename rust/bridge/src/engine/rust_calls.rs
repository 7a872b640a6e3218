//! Calls from Rust hosts: nothing here needs the interpreter.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call_refusals::{check_size, closed, failed, forked, overloaded};
use super::permit::Permit;
use super::request_body::RequestBody;
use super::rust_engine::Engine;
use super::submit::submit;
use crate::codec::{self, Format, Framing};
use crate::consumer::{ChunkStream, FrameStream, ItemStream, StreamError};
use crate::error::FailureKind;
use crate::state::{
    CallOptions, ConsumerKind, ItemCodec, Lifecycle, Request, RequestCodec, StartRequest, StreamState, post_start,
};

impl Engine {
    /// Copies an encoded request into memory of the engine's pool, as a server reads one from its socket.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`]: it is longer than one request may be; [`FailureKind::PoolExhausted`]: requests hold all
    /// that they may.
    pub fn body(&self, encoded: &[u8]) -> Result<Bytes, StreamError> {
        check_size(&self.state.limits, encoded.len(), self.format)?;
        let mut body = RequestBody::new(&self.state.pool, Some(encoded.len()), encoded.len())?;
        body.push(encoded)?;
        Ok(body.finish())
    }

    /// Memory of the engine's pool for a request that arrives in pieces, as [`RequestBody::push`] says. `declared`: the length
    /// that the client announces, in bytes; `most`: the longest that is taken.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`]: more than `most` is announced.
    pub fn request_body(&self, declared: Option<usize>, most: usize) -> Result<RequestBody, StreamError> {
        RequestBody::new(&self.state.pool, declared, most)
    }

    /// Calls the handler with an encoded request, which the worker decodes by the engine's codec; gives the encoded items.
    ///
    /// Nothing is awaited here; the stream gives frames as the handler yields items.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// use futures_util::StreamExt;
    /// use pybridge::CallOptions;
    ///
    /// let body = engine.body(b"\x81\xa6prompt\xa5Hello")?; // or any `Bytes`
    /// let mut frames = engine.frames(body, CallOptions::default().request_id("r-1"))?;
    /// while let Some(frame) = frames.next().await {
    ///     println!("an item of {} bytes", frame?.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FailureKind::Closed`], [`FailureKind::Overloaded`]; [`FailureKind::TooLarge`]: the request;
    /// [`FailureKind::InvalidArgument`]: the options.
    pub fn frames(&self, request: impl Into<Bytes>, options: CallOptions) -> Result<FrameStream, StreamError> {
        self.start(request.into(), Framing::None, options, None).map(FrameStream::new)
    }

    /// Calls the handler with an encoded request; gives its items framed and ready for a socket, about one chunk for each
    /// turn of its loop.
    ///
    /// The worker writes the framing while it encodes, and nothing is copied. [`Framing::Sse`] and [`Framing::Ndjson`] are
    /// text: where the engine's codec is `MessagePack`, their items are JSON; the request is of the engine's codec always.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// use futures_util::StreamExt;
    /// use pybridge::codec::Framing;
    /// use pybridge::{CallOptions, Reason};
    ///
    /// let body = br#"{"prompt": "Hello"}"#; // of an engine whose codec is JSON
    /// let mut chunks = engine.chunks(&body[..], Framing::Sse, CallOptions::default())?.on_drop(Reason::Client);
    /// while let Some(chunk) = chunks.next().await {
    ///     print!("{}", String::from_utf8_lossy(&chunk?)); // data: {"text":"Hello"}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::frames`]. An item that the framing cannot hold, raw text of two lines in [`Framing::Ndjson`], ends the
    /// stream with [`FailureKind::Encode`].
    pub fn chunks(
        &self,
        request: impl Into<Bytes>,
        framing: Framing,
        options: CallOptions,
    ) -> Result<ChunkStream, StreamError> {
        self.start(request.into(), framing, options, None).map(ChunkStream::new)
    }

    /// Calls the handler with a value and decodes what it yields, both on the caller's threads.
    ///
    /// Nothing is awaited here; the stream gives items as the handler yields them.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// use futures_util::StreamExt;
    /// use pybridge::CallOptions;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Request {
    ///     prompt: String,
    /// }
    /// #[derive(serde::Deserialize)]
    /// struct Token {
    ///     text: String,
    /// }
    ///
    /// let request = Request { prompt: "Hello".into() };
    /// let mut tokens = engine.generate::<Request, Token>(request, CallOptions::default())?;
    /// while let Some(token) = tokens.next().await {
    ///     print!("{}", token?.text);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The request cannot be serialised; otherwise as [`Self::frames`].
    pub fn generate<Req, Resp>(&self, request: Req, options: CallOptions) -> Result<ItemStream<Resp>, StreamError>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        let format = options.codec.unwrap_or(self.format);
        let body = codec::to_bytes(options.encoded.unwrap_or(self.format), &request).map_err(|error| {
            failed(FailureKind::InvalidArgument, "EncodeError", format!("request not encodable: {error}"))
        })?;
        Ok(ItemStream::new(self.frames(body, options)?, format))
    }

    /// Calls a handler that gives exactly one item, as a unary one does, and decodes that. Suspends until the handler has
    /// ended; dropped before, it cancels the handler.
    ///
    /// ```no_run
    /// # async fn answer(engine: pybridge::Engine) -> Result<(), pybridge::StreamError> {
    /// let sum: u64 = engine.call([1, 2, 3], pybridge::CallOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::generate`], and what the stream ends with. [`StreamError::Response`]: the handler gave no item, or more
    /// than one, or one that is no `Resp`.
    pub async fn call<Req, Resp>(&self, request: Req, options: CallOptions) -> Result<Resp, StreamError>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        self.generate(request, options)?.only().await
    }

    /// Starts a stream in the place of `permit`, or where the admission finds one.
    pub(super) fn start(
        &self,
        request: Bytes,
        framing: Framing,
        options: CallOptions,
        permit: Option<Permit>,
    ) -> Result<Arc<StreamState>, StreamError> {
        self.try_start(request, framing, options, permit).inspect_err(|_| self.state.metrics.count_refused())
    }

    fn try_start(
        &self,
        request: Bytes,
        framing: Framing,
        options: CallOptions,
        permit: Option<Permit>,
    ) -> Result<Arc<StreamState>, StreamError> {
        crate::base::fork::check_fork().map_err(|_| forked())?;
        if self.state.lifecycle() != Lifecycle::Serving {
            return Err(closed());
        }
        let encoded = options.encoded.filter(|&format| format != self.format);
        check_size(&self.state.limits, request.len(), encoded.unwrap_or(self.format))?;
        if framing.is_text() && options.codec == Some(Format::Msgpack) {
            let reason = format!("codec: MessagePack is binary and cannot be framed as {framing:?}");
            return Err(failed(FailureKind::InvalidArgument, "ConfigError", reason));
        }
        options.check(&self.state.limits).map_err(StreamError::Failed)?;
        let codec = options.codec.map_or(ItemCodec::Engine, ItemCodec::Format);
        let stream = StreamState::new(Arc::clone(&self.state), self.mailbox.sink(), options, None, ConsumerKind::Rust);
        let request_codec = encoded.map_or(RequestCodec::Engine, RequestCodec::of);
        let start = Box::new(StartRequest {
            stream: Arc::clone(&stream),
            engine: Arc::clone(&self.object),
            request: Request::Encoded(request, request_codec),
            codec,
            context: None,
            framing,
        });
        submit(start, permit.and_then(Permit::into_ticket), false, post_start).map_err(overloaded)?;
        Ok(stream)
    }
}
