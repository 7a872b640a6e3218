//! Streams as HTTP answers: server-sent events and JSON lines.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pybridge::codec::Framing;
use pybridge::{CallOptions, ChunkStream, Engine, Reason};

use crate::answer::{ChunkBody, Failures, KEEP_ALIVE_AFTER, Source, named, streamed};
use crate::api::Api;
use crate::failure_answer::HttpError;
use crate::media_types;

/// A stream as server-sent events.
///
/// [`Sse::open`] waits for the first item, so that a failure before it has its real status; [`Sse::from`] sends the head at
/// once. Every 15 s without an item a comment keeps proxies from closing the connection. A failure after the head is an
/// `event: error` whose data is the body of [`HttpError`], then the answer breaks off. When the client goes, before or after
/// the first item, the handler is cancelled with the reason `client`.
///
/// ```no_run
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::{HeaderMap, Response};
/// use pybridge::{CallOptions, Engine};
/// use pybridge_http::{ChunkBody, FromHeaders, HttpError, Sse};
///
/// async fn chat(engine: &Engine, headers: &HeaderMap, body: Bytes) -> Result<Response<ChunkBody>, HttpError> {
///     let options = CallOptions::from_headers(headers)?;
///     let events = Sse::open(engine, body, options, Duration::from_secs(10)).await?;
///     Ok(events.last("[DONE]").into_http())
/// }
/// ```
#[derive(Debug)]
pub struct Sse(ChunkBody);

/// A stream as JSON lines (`application/x-ndjson`).
///
/// As [`Sse`], but for two things: nothing keeps a silent answer alive, and a failure after the head is told by nothing but
/// the abnormal end.
///
/// ```no_run
/// # use std::time::Duration;
/// # use pybridge::{CallOptions, Engine};
/// use pybridge_http::{HttpError, Ndjson};
///
/// # async fn f(engine: Engine) -> Result<(), HttpError> {
/// let lines = Ndjson::open(&engine, &br#"{"prompt": "Hello"}"#[..], CallOptions::default(), Duration::from_secs(10)).await?;
/// let answer = lines.into_http();
/// assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ndjson(ChunkBody);

/// How the readers of events learn of a failure.
const EVENT: Failures = Failures::Event(Api::Generic);

/// Waits for the first chunk, the end or the failure, but no longer than `wait`.
async fn begun(chunks: ChunkStream, wait: Duration, failures: Failures) -> Result<ChunkBody, HttpError> {
    let source = source(chunks);
    let id = source.request_id();
    ChunkBody::begin(source, failures, wait).await.map_err(|error| HttpError::from(error).with_request_id(id))
}

fn streamed_named(content_type: &'static str, body: ChunkBody) -> Response<ChunkBody> {
    let id = body.request_id();
    named(streamed(content_type, body), id)
}

fn source(chunks: ChunkStream) -> Source {
    Source::new(chunks.on_drop(Reason::Client), Duration::ZERO)
}

/// Starts a call; a failure knows the request's name.
fn chunks(
    engine: &Engine,
    body: impl Into<Bytes>,
    framing: Framing,
    options: CallOptions,
) -> Result<ChunkStream, HttpError> {
    let id = options.request_id.clone();
    engine.chunks(body, framing, options).map_err(|error| HttpError::of(error, id))
}

impl Sse {
    /// Calls the handler and waits for its first item, its end or its failure, but no longer than `wait`: then the head goes out
    /// and keep-alive begins, so that no proxy gives up.
    ///
    /// Dropping the future, as servers do when the client goes, cancels the handler with the reason `client`.
    ///
    /// # Errors
    /// The failure of a call that ended before its first item.
    pub async fn open(
        engine: &Engine,
        body: impl Into<Bytes>,
        options: CallOptions,
        wait: Duration,
    ) -> Result<Self, HttpError> {
        let chunks = chunks(engine, body, Framing::Sse, options)?;
        begun(chunks, wait, EVENT).await.map(Self::of)
    }

    fn of(mut body: ChunkBody) -> Self {
        body.keep_alive(KEEP_ALIVE_AFTER);
        Self(body)
    }

    /// Sets after how long a silence a comment is sent; zero: never.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.0.keep_alive(interval);
        self
    }

    /// Sends one more event when the handler has finished, and only then: `[DONE]`. `data` has one line.
    #[must_use]
    pub fn last(mut self, data: &str) -> Self {
        self.0.last(format!("data: {data}\n\n").into());
        self
    }

    /// The answer for any server on the `http` crate's types.
    pub fn into_http(self) -> Response<ChunkBody> {
        streamed_named(media_types::EVENTS, self.0)
    }
}

impl From<ChunkStream> for Sse {
    /// The head goes out at once. `chunks` is framed as [`Framing::Sse`].
    fn from(chunks: ChunkStream) -> Self {
        Self::of(ChunkBody::new(source(chunks), EVENT))
    }
}

impl Ndjson {
    /// Calls the handler and waits for its first item, its end or its failure, but no longer than `wait`.
    ///
    /// Dropping the future, as servers do when the client goes, cancels the handler with the reason `client`.
    ///
    /// # Errors
    /// The failure of a call that ended before its first item.
    pub async fn open(
        engine: &Engine,
        body: impl Into<Bytes>,
        options: CallOptions,
        wait: Duration,
    ) -> Result<Self, HttpError> {
        let chunks = chunks(engine, body, Framing::Ndjson, options)?;
        begun(chunks, wait, Failures::End).await.map(Self)
    }

    /// The answer for any server on the `http` crate's types.
    pub fn into_http(self) -> Response<ChunkBody> {
        streamed_named(media_types::LINES, self.0)
    }
}

impl From<ChunkStream> for Ndjson {
    /// The head goes out at once. `chunks` is framed as [`Framing::Ndjson`].
    fn from(chunks: ChunkStream) -> Self {
        Self(ChunkBody::new(source(chunks), Failures::End))
    }
}
