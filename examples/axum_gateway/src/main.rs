//! An axum server in front of the Python handlers of `handlers.py`, which it finds in the working directory.
//!
//! Arguments: the port, 8000 unless given, and the seconds that live streams may go on after SIGTERM, 10 unless given.
//!
//! ```console
//! $ cd examples/axum_gateway && cargo run -- 8000
//! $ curl -N localhost:8000/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hello pooled world"}]}'
//! $ curl localhost:8000/count -H 'content-type: application/json' -d '{"text": "Hello pooled world"}'
//! ```

use std::error::Error;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use pybridge::{CallOptions, CodecSpec, Engine, FlowConfig, embed, metrics_text, runtime};
use pybridge_http::{FromHeaders, HttpError, Sse};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// How long an answer waits for the handler's first item. A failure until then has its real status.
const HEAD_WAITS: Duration = Duration::from_secs(10);

/// Longest request.
const MAX_BODY: usize = 16 << 20;

/// The longest that a client may ask for with `X-Request-Timeout`, and what it gets without asking.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(8000), |port| port.parse())?;
    let grace = Duration::from_secs_f64(arguments.next().map_or(Ok(10.0), |seconds| seconds.parse())?);

    // The bridge runs on this runtime; without this line it would start one of its own.
    runtime::use_handle(tokio::runtime::Handle::current())?;
    embed::initialize()?;
    let flow = FlowConfig::default().max_concurrency(256).max_queue(64);
    let chat = Engine::import("handlers:chat").codec(CodecSpec::json()).flow(flow).await?;
    let count = Engine::import("handlers:count").unary(true).await?;

    let app = Router::new()
        .route("/v1/chat/completions", post(completions).with_state(chat.clone()))
        .route("/count", post(words).with_state(count))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("serving on http://{}", listener.local_addr()?);

    // No new connections, no new calls; what runs may end, and is cancelled when the grace is over.
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        stopped.await.ok();
    });
    let drain = async {
        terminate.recv().await;
        drop(stop);
        chat.drain(grace).await
    };
    let (served, drained) = tokio::join!(server, drain);
    println!("finished {}, cancelled {}", drained.finished, drained.cancelled);
    embed::shutdown(grace).await;
    Ok(served?)
}

/// OpenAI's chat completions, streamed. The body goes to the worker as it came; nobody here looks into it.
async fn completions(State(chat): State<Engine>, headers: HeaderMap, body: Bytes) -> Result<Sse, HttpError> {
    Ok(Sse::open(&chat, body, options(&headers)?, HEAD_WAITS).await?.last("[DONE]"))
}

#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Count {
    words: u64,
}

/// A route whose types are the host's: they cross to Python and back as MessagePack.
async fn words(
    State(count): State<Engine>,
    headers: HeaderMap,
    Json(text): Json<Text>,
) -> Result<Json<Count>, HttpError> {
    Ok(Json(pybridge_http::call(&count, text, options(&headers)?).await?))
}

fn options(headers: &HeaderMap) -> Result<CallOptions, HttpError> {
    let options = CallOptions::from_headers(headers)?;
    let timeout = options.timeout.map_or(MAX_TIMEOUT, |asked| asked.min(MAX_TIMEOUT));
    Ok(options.timeout(timeout))
}

/// What Prometheus collects, of every engine of the process.
async fn metrics() -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4")], metrics_text())
}
