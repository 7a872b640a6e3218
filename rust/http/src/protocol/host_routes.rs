//! Answers of a host's own routes, which negotiate nothing.

use std::time::Duration;

use http::Response;
use pybridge::{ChunkStream, Format, Framing, StreamError};

use crate::answer::{self, AnswerBody, Failures, Source};
use crate::api::Api;
use crate::media_types;

/// An answer of a host's own route: a stream in one framing, without negotiation.
///
/// ```no_run
/// # use pybridge::{CallOptions, Engine};
/// use http::Response;
/// use pybridge::Framing;
/// use pybridge_http::{AnswerBody, Plain};
///
/// # async fn f(engine: &Engine, body: bytes::Bytes) -> Response<AnswerBody> {
/// let started = engine.chunks(body, Framing::Ndjson, CallOptions::default());
/// Plain::new(Framing::Ndjson).answer(started).await
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plain {
    /// The stream's.
    pub framing: Framing,
    /// Format of the items, which decides the type of an answer without framing; `None`: bytes of no type.
    pub codec: Option<Format>,
    /// How long the head waits for the first item.
    pub commit_after: Duration,
    /// After how long a silence a comment is sent among events; zero: never.
    pub keep_alive: Duration,
    /// Time between two chunks; zero: each leaves as it comes.
    pub flush_interval: Duration,
    /// The request's name, for the failure of a call that did not become a stream; made up where there is none.
    pub request_id: Option<String>,
}

impl Plain {
    /// An answer in this framing: its head waits 10 s, comments come after 15 s of silence.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            codec: None,
            commit_after: answer::COMMIT_AFTER,
            keep_alive: answer::KEEP_ALIVE_AFTER,
            flush_interval: Duration::ZERO,
            request_id: None,
        }
    }

    /// The answer of a stream in this framing, once its head can go: with the first item, with the failure before it, or after
    /// [`Self::commit_after`]. Failures have the shape of [`HttpError`](crate::HttpError).
    ///
    /// Dropping the future cancels the handler with the reason `client`.
    pub fn answer(
        self,
        started: Result<ChunkStream, StreamError>,
    ) -> impl Future<Output = Response<AnswerBody>> + Send + use<> {
        let Self { commit_after, keep_alive, .. } = self;
        let (content_type, interval) = (self.content_type(), self.flush_interval);
        let failures = if self.framing == Framing::Sse { Failures::Event(Api::Generic) } else { Failures::End };
        answer::answer(started, self.request_id, Api::Generic, move |chunks| {
            answer::stream(content_type, Source::new(chunks, interval), failures, commit_after, keep_alive)
        })
    }

    fn content_type(&self) -> &'static str {
        match (self.framing, self.codec) {
            (Framing::Sse, _) => media_types::EVENTS,
            (Framing::Ndjson, _) => media_types::LINES,
            (Framing::None, Some(Format::Msgpack)) => media_types::MSGPACK,
            (Framing::None, Some(Format::Json)) => media_types::JSON,
            _ => media_types::BYTES,
        }
    }
}
