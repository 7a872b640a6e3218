//! A server of the protocol on plain hyper, as small as it can be.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pybridge::{Engine, EngineBuilder};
use pybridge_http::{AnswerBody, Page, Plain, Protocol, ProtocolOptions, Route, live_page, metrics_page, ready_page};

use super::{Answer, Version, engine, listen, noted, request};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The answer to one request.
async fn answer(
    protocol: &Protocol,
    engine: &Engine,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Error> {
    let (head, body) = request.into_parts();
    let whole = match protocol.route(&head) {
        Route::Call(incoming) => match Limited::new(body, incoming.max_body()).collect().await {
            Ok(body) => match incoming.body(body.to_bytes()) {
                Ok(prepared) => return Ok(prepared.run(engine).await),
                Err(refused) => refused,
            },
            Err(error) if error.is::<LengthLimitError>() => incoming.too_large(),
            Err(error) => return Err(error),
        },
        Route::Page(Page::Live) => live_page(Duration::ZERO),
        Route::Page(Page::Ready) => ready_page(true),
        Route::Page(Page::Metrics) => metrics_page(pybridge::metrics_text()),
        Route::Answer(answer) => answer,
        _ => return Err("a route of a later version".into()),
    };
    Ok(whole.map(AnswerBody::from))
}

/// Serves what `answer` gives on a port of its own.
fn serve<F>(version: Version, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = Result<Response<AnswerBody>, Error>> + Send + 'static,
{
    let (listener, address) = listen();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let (stream, service) = (TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(async move {
                match version {
                    Version::Http1 => drop(http1::Builder::new().serve_connection(stream, service).await),
                    Version::Http2 => {
                        drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await);
                    }
                }
            });
        }
    });
    address
}

/// A handler of `handlers.py` behind the protocol.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    notes: Engine,
    version: Version,
    address: String,
}

impl Service {
    pub(crate) async fn start(version: Version, engine: EngineBuilder, options: ProtocolOptions) -> Self {
        let engine = engine.await.expect("it is there");
        let protocol = Arc::new(Protocol::new(options, engine.profile()).expect("options that can be"));
        let called = engine.clone();
        let address = serve(version, move |request| {
            let (protocol, engine) = (Arc::clone(&protocol), called.clone());
            async move { answer(&protocol, &engine, request).await }
        });
        Self::at(version, engine, address).await
    }

    /// A handler behind a route of the host's own.
    pub(crate) async fn plain(version: Version, engine: EngineBuilder, plain: Plain) -> Self {
        let engine = engine.await.expect("it is there");
        let called = engine.clone();
        let address = serve(version, move |request| {
            let (plain, engine) = (plain.clone(), called.clone());
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let started = engine.chunks(body, plain.framing, pybridge::CallOptions::default().codec(plain.codec));
                Ok(plain.answer(started).await)
            }
        });
        Self::at(version, engine, address).await
    }

    async fn at(version: Version, engine: Engine, address: String) -> Self {
        let notes = super::engine("noted").unary(true).await.expect("it is there");
        Self { engine, notes, version, address }
    }

    /// Sends a request, `line` its method and path.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(&self.address, self.version, line, headers, body.to_vec()).await
    }

    /// Calls the handler with a prompt, for an answer of this type.
    pub(crate) async fn ask(&self, accept: &str, id: &str, prompt: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("accept", accept), ("x-request-id", id)];
        self.send("POST /generate", &headers, format!(r#"{{"prompt": "{prompt}"}}"#).as_bytes()).await
    }

    /// What the call of this name noted in this place.
    pub(crate) async fn noted(&self, id: &str, place: usize) -> String {
        noted(&self.notes, id, place).await
    }
}

/// `chat` behind the protocol with its usual options.
pub(crate) async fn chat(version: Version) -> Service {
    Service::start(version, engine("chat"), ProtocolOptions::default()).await
}
