//! Streams of Python async generators as tower services, HTTP answers and axum responses.
//!
//! An [`Engine`](pybridge::Engine) of the crate `pybridge` calls a Python handler; this crate puts it behind HTTP. It holds
//! types and conversions for servers of the host's own, and a server. All features are off by default.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `http` | [`FromHeaders`], [`call`], [`status_of`], [`HttpError`]; [`Sse`] and [`Ndjson`], streamed answers for any server with `http-body`; [`Protocol`], from the head of a request to the end of its answer; [`Observer`], its metrics and access log |
//! | `server` | [`serve`]: an engine behind HTTP/1.1 and HTTP/2, with or without TLS |
//! | `axum` | `IntoResponse` for those, so that axum's handlers return them |
//! | `tower` | [`ChunkService`] and [`FrameService`], whose readiness is the engine's admission |
//!
//! # A route of axum
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum::body::Bytes;
//! use axum::extract::State;
//! use axum::http::HeaderMap;
//! use axum::routing::post;
//! use axum::Router;
//! use pybridge::{CallOptions, Engine};
//! use pybridge_http::{FromHeaders, HttpError, Sse};
//!
//! async fn chat(State(engine): State<Engine>, headers: HeaderMap, body: Bytes) -> Result<Sse, HttpError> {
//!     let options = CallOptions::from_headers(&headers)?;
//!     Sse::open(&engine, body, options, Duration::from_secs(10)).await
//! }
//!
//! fn app(engine: Engine) -> Router {
//!     Router::new().route("/chat", post(chat)).with_state(engine)
//! }
//! ```
//!
//! The body goes to the worker as it came, in the engine's format: make it `.codec(CodecSpec::json())` for the bodies that
//! browsers and most clients send, or they are refused with status 400. [`call`] is for handlers that return one value. To check
//! a body first, deserialise it and pass `serde_json::to_vec` of the value on.
//!
//! # How endings reach a client
//!
//! | the stream | the client sees |
//! | --- | --- |
//! | is refused, or fails before its first item | the real status, a JSON body ([`HttpError`]) |
//! | fails later | `event: error` ([`Sse`] only), then a message that breaks off: never a whole one |
//! | finishes | the end of the message, after [`Sse::last`] if that was asked for |
//!
//! A client that goes away drops the future or the body, wherever they are: the handler is cancelled with the reason
//! `client`. A handler that is silent for longer than the `wait` of [`Sse::open`] can only fail late.
//!
//! # A whole service
//!
//! [`Protocol`] is for hosts that have no routes of their own: by the head of a request it tells what that is for, by
//! `Content-Type` and `Accept` how it is read and answered, and it makes the answer, in the shapes of `OpenAI`'s interface if
//! [`Api::OpenAi`] is set. [`Plain`] answers as it does, without negotiation.
//!
//! | `Accept` | the answer | a late failure |
//! | --- | --- | --- |
//! | `text/event-stream` | an event for each item | `event: error`, then it breaks off |
//! | `application/x-ndjson`, `application/jsonl`, `*/*` | a line of JSON for each item | it breaks off |
//! | `application/msgpack` and its kin | `MessagePack` values, one after the other | it breaks off |
//! | `application/json` | an array of the items, when the handler has finished; the value where it returns one, then for `*/*` too | its real status |
//! | `application/octet-stream`, `text/plain` (raw engines, in place of the last two) | the items, one after the other | it breaks off |
//!
//! With the feature `server`, [`serve`] puts it behind sockets.
//!
//! # Metrics and logs
//!
//! An [`Observer`] counts requests by method and status, the time that they take, that to the first item and that between items;
//! [`metrics_text`] tells of all services of the process. With an [`AccessLog`] it writes a line for each request, in a thread of
//! its own: to standard error, in text or JSON. A server of [`serve`] has an observer, others call [`Observer::begin`].
//!
//! `examples/axum_gateway` in the repository is a service with routes of its own.

#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod api;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "http")]
mod failure_answer;
#[cfg(feature = "server")]
mod guard;
#[cfg(feature = "http")]
mod media_types;
#[cfg(feature = "http")]
mod observe;
#[cfg(feature = "http")]
mod openai;
#[cfg(feature = "http")]
mod option_headers;
#[cfg(feature = "http")]
mod protocol;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "http")]
mod sse_and_ndjson;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "http")]
mod unary_call;

#[cfg(feature = "http")]
pub use answer::{AnswerBody, ChunkBody, Interrupted};
#[cfg(feature = "http")]
pub use api::Api;
#[cfg(feature = "http")]
pub use failure_answer::{HttpError, status_of};
#[cfg(feature = "server")]
pub use guard::ApiKeys;
#[cfg(feature = "http")]
pub use observe::{AccessLog, Connected, Observer, Record, metrics_text};
#[cfg(feature = "http")]
pub use option_headers::{FromHeaders, HeaderError};
#[cfg(feature = "http")]
pub use protocol::{
    Incoming, Page, Plain, Prepared, Protocol, ProtocolError, ProtocolOptions, Route, live_page, metrics_page,
    ready_page,
};
#[cfg(feature = "server")]
pub use server::{Control, Listener, Server, ServerError, ServerOptions, Tls, serve};
#[cfg(feature = "http")]
pub use sse_and_ndjson::{Ndjson, Sse};
#[cfg(feature = "tower")]
pub use tower::{Call, ChunkService, FrameService};
#[cfg(feature = "http")]
pub use unary_call::call;

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
