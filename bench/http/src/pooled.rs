//! The handler behind an engine of pybridge: the body goes to the worker as it came, events come back framed.

use std::error::Error;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pybridge::{CallOptions, CodecSpec, Engine, Framing, Reason, embed, runtime};

pub(crate) fn serve(handler: &str, port: u16) -> Result<(), Box<dyn Error>> {
    let tokio = crate::runtime()?;
    runtime::use_handle(tokio.handle().clone())?;
    embed::initialize()?;
    let engine = Engine::import(format!("handlers:{handler}")).codec(CodecSpec::json()).blocking()?;
    let router = Router::new().route("/", post(generate)).with_state(engine);
    tokio.block_on(crate::serve_axum(router, port))?;
    Ok(())
}

async fn generate(State(engine): State<Engine>, body: Bytes) -> Response {
    match engine.chunks(body, Framing::Sse, CallOptions::default()) {
        Ok(chunks) => {
            let body = Body::from_stream(chunks.on_drop(Reason::Client));
            ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.public_message()).into_response(),
    }
}
