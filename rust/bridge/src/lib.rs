//! Python async generators as Rust streams.
//!
//! An [`Engine`] calls an unmodified Python async generator function, the *handler*, on one worker thread that runs an
//! asyncio event loop. Each item is encoded there, the moment it is yielded, into pooled buffers; what all streams made in
//! a turn of the loop crosses to the runtime together. Consumers get [`Frame`]s, or values of their own types decoded from
//! frames. No thread of the runtime ever attaches to the interpreter.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use futures_util::StreamExt;
//! use pybridge::{CallOptions, Engine, StreamError, embed};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize)]
//! struct ChatRequest {
//!     prompt: String,
//! }
//!
//! #[derive(Deserialize)]
//! struct Token {
//!     text: String,
//! }
//!
//! async fn run() -> Result<(), Box<dyn std::error::Error>> {
//!     embed::initialize()?; // starts Python, in the virtual environment if there is one
//!     let engine = Engine::import("handlers:chat").await?; // `async def chat(request): …; yield {"text": word}`
//!     serve(&engine).await?;
//!     embed::shutdown(Duration::from_secs(10)).await;
//!     Ok(())
//! }
//!
//! async fn serve(engine: &Engine) -> Result<(), StreamError> {
//!     let request = ChatRequest { prompt: "Hello".into() };
//!     let mut tokens = engine.generate::<ChatRequest, Token>(request, CallOptions::default())?;
//!     while let Some(token) = tokens.next().await {
//!         print!("{} ", token?.text);
//!     }
//!     Ok(()) // `None` means that the handler finished; dropping `tokens` earlier cancels it
//! }
//! ```
//!
//! `examples/rust_host` is a whole program. In it, in order:
//!
//! * [`runtime::use_handle`] lends the host's tokio runtime; else the bridge starts one with two threads.
//! * [`embed::initialize`] starts the interpreter, in its virtual environment, and provides the Python package, whose sources are
//!   compiled in: nothing has to be installed. Where libpython is in no folder that the loader searches, the program needs the
//!   line of `build.rs` that is shown there.
//! * [`Engine::import`] has a handler imported by the worker, and takes every setting: [`EngineBuilder`].
//! * [`Engine::frames`] gives encoded items, [`Engine::generate`] typed ones, [`Engine::chunks`] framed bytes for a socket,
//!   [`Engine::call`] the one item of a unary handler. [`Annotated`] is for items that carry event, comment and error beside
//!   their data.
//! * A [`Canceller`] stops a stream from elsewhere; `on_drop` sets the reason that dropping one gives.
//! * A stream ends with `None` only when its handler finished. Every other ending is one [`StreamError`]: the handler
//!   raised ([`Failure`] has kind, class and messages), or the stream was cancelled, with its [`Reason`].
//! * A failure of a handler is told once, on the worker: to `on_failure` of the builder; else, with the feature `tracing` and a
//!   subscriber, as an event in the call's span; else to Python's `logging`, by the logger `pybridge.handler`.
//! * [`Engine::stats`] and [`metrics_text`] count what all engines do, [`Engine::drain`] ends one in order.
//! * [`embed::shutdown`] ends streams and lifespans when the program ends, within the time that it is given.
//!
//! # Features
//!
//! * `embed` (on unless defaults are off): the sources of the Python package, for programs that have only the crate.
//! * `tracing`: each call is a span `pybridge.call` with `engine`, `request_id` and `traceparent`, and when it ends `ending`
//!   (`finished`, `raised`, `cancelled`), `reason` (a [`Reason`] or the class of the exception), `items` and `bytes`. It is a
//!   child of the span in which the call is made, and no thread ever enters it. It closes with the ending, whoever still holds
//!   the stream.

#[macro_use]
extern crate pybridge_macros;
// What `python_entry` writes names the crate as other crates do.
extern crate self as pybridge;

mod admission;
mod awaitable;
mod blocking;
pub mod codec;
mod context;
pub mod embed;
mod engine;
pub mod error;
#[doc(hidden)]
pub mod extension;
#[cfg(feature = "fault")]
pub mod fault;
#[cfg(not(feature = "fault"))]
mod fault;
mod frame;
mod interp;
mod lock;
mod log;
mod memory;
mod metrics;
mod module;
mod parking;
mod prometheus;
pub mod runtime;
mod setup_error;
mod stream;
mod traceback;
mod worker;

pub use codec::{CodecSpec, DuplicateKeys, Format, Framing, Limits};
pub use engine::{
    AcquirePermit, Annotated, Callable, Drained, Engine, EngineBuilder, EngineStats, FlowConfig, FlowStats, Flush,
    Histogram, ModelDump, Permit, PoolChoice, StreamStats,
};
pub use frame::Frame;
pub use prometheus::metrics_text;
pub use pybridge_pool::{Batch, Pool, PoolConfig, PoolStats};
pub use pyo3;
pub use setup_error::SetupError;
pub use stream::{
    CallOptions, Cancellation, Canceller, ChunkStream, Ending, Failure, FailureKind, FrameStream, ItemStream,
    PublicAnswer, Reason, StreamError,
};
pub use worker::{EventLoop, Worker, WorkerStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
