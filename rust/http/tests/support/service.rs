//! Handlers behind the server, on real connections.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use pybridge::{CallOptions, Engine, EngineBuilder};
use pybridge_http::{Control, Listener, Plain, ProtocolOptions, Server, ServerOptions};

use super::{Answer, Version, engine, listen, noted, request};

/// A deadline that is to pass.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// No deadline that a test reaches.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Options of which no deadline is reached.
pub(crate) fn patient() -> ServerOptions {
    ServerOptions::default().header_timeout(LONG).body_timeout(LONG).idle_timeout(LONG).write_timeout(LONG)
}

/// A handler of `handlers.py` behind a server, which ends with this.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) address: String,
    /// `None`: it is a host's own.
    pub(crate) server: Option<Server>,
    notes: Engine,
    version: Version,
}

impl Service {
    pub(crate) async fn start(version: Version, engine: EngineBuilder, protocol: ProtocolOptions) -> Self {
        Self::serve(version, engine, ServerOptions::default().protocol(protocol)).await
    }

    pub(crate) async fn serve(version: Version, engine: EngineBuilder, options: ServerOptions) -> Self {
        let engine = engine.await.expect("it is there");
        let (listener, address) = listen();
        let listener = Listener::from(listener.into_std().expect("a socket"));
        let server = pybridge_http::serve(engine.clone(), [listener], options).expect("options that can be");
        Self::at(version, engine, address, Some(server)).await
    }

    /// `chat` under a name of its own in metrics and logs.
    pub(crate) async fn chat(version: Version, name: &str, options: ServerOptions) -> Self {
        Self::serve(version, engine("chat").name(name), options).await
    }

    /// A handler behind a route of the host's own, on axum.
    pub(crate) async fn plain(version: Version, engine: EngineBuilder, plain: Plain) -> Self {
        let engine = engine.await.expect("it is there");
        let called = engine.clone();
        let answer = move |body: Bytes| {
            let (plain, engine) = (plain.clone(), called.clone());
            async move {
                let started = engine.chunks(body, plain.framing, CallOptions::default().codec(plain.codec));
                plain.answer(started).await.map(Body::new)
            }
        };
        let address = super::serve(Router::new().route("/generate", post(answer)));
        Self::at(version, engine, address, None).await
    }

    async fn at(version: Version, engine: Engine, address: String, server: Option<Server>) -> Self {
        let notes = super::engine("noted").unary(true).await.expect("it is there");
        Self { engine, address, server, notes, version }
    }

    pub(crate) fn control(&self) -> Control {
        self.server.as_ref().expect("a server").control()
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
