//! An interpreter, engines for the handlers beside the tests, and real connections to an axum server.
#![allow(dead_code, reason = "every test binary uses its part")]

#[cfg(feature = "server")]
pub(crate) mod frames;
pub(crate) mod heads;
pub(crate) mod raw;
#[cfg(feature = "server")]
pub(crate) mod service;
#[cfg(feature = "server")]
pub(crate) mod tls;

use std::sync::Once;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pybridge::{CallOptions, CodecSpec, Engine, EngineBuilder, embed};
use tokio::net::{TcpListener, TcpSocket};

/// Far above what anything takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// An engine that speaks JSON and calls a function of `handlers.py`.
pub(crate) fn engine(handler: &str) -> EngineBuilder {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).expect("it is there");
        embed::initialize().expect("an interpreter");
    });
    Engine::import(format!("handlers:{handler}")).codec(CodecSpec::json())
}

/// Runs a test on a runtime of its own.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime
        .expect("threads can be had")
        .block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("in time") })
}

/// The protocols that a server may speak.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// An answer, and the connection on which it comes; dropping it closes that.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    _connection: Connection,
}

/// Works on a connection until it is dropped, which closes that.
struct Connection(tokio::task::JoinHandle<()>);

impl Connection {
    fn of(work: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(async move { drop(work.await) }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the kernel holds of what was sent and not yet read, in each direction; it doubles this.
const KERNEL_BYTES: u32 = 4096;

/// A socket on which little is on its way: what a client does not read stays in the server.
fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(KERNEL_BYTES).expect("a size");
    socket.set_recv_buffer_size(KERNEL_BYTES).expect("a size");
    socket
}

/// Listens on a port of its own.
pub(crate) fn listen() -> (TcpListener, String) {
    let socket = socket();
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(64).expect("it listens");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

/// Serves `app` on a port of its own.
pub(crate) fn serve(app: Router) -> String {
    let (listener, address) = listen();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Posts a body; waits for the head of the answer.
pub(crate) async fn send(address: &str, version: Version, headers: &[(&str, &str)], body: &str) -> Answer {
    request(address, version, "POST /", headers, body.to_owned()).await
}

/// Sends a request, `line` its method and path; waits for the head of the answer.
pub(crate) async fn request(
    address: &str,
    version: Version,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    if matches!(version, Version::Http1) {
        request = request.header("host", address);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request");
    let stream = TokioIo::new(socket().connect(address.parse().expect("an address")).await.expect("it listens"));
    let (answer, connection) = match version {
        Version::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("it speaks");
            let connection = Connection::of(connection);
            (sender.send_request(request).await, connection)
        }
        Version::Http2 => {
            let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut sender, connection) =
                builder.initial_stream_window_size(65_535).handshake(stream).await.expect("it speaks");
            let connection = Connection::of(connection);
            (sender.send_request(request).await, connection)
        }
    };
    Answer { response: answer.expect("an answer"), _connection: connection }
}

impl Answer {
    /// The next piece of the body; `None`: it ended as it should.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = self.response.body_mut().frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The body, and whether it ended as it should.
    pub(crate) async fn text(self) -> (String, bool) {
        let (all, whole) = self.bytes().await;
        (String::from_utf8(all).expect("text"), whole)
    }

    /// As [`Self::text`], where that is none.
    pub(crate) async fn bytes(mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(_) => return (all, false),
            }
        }
        (all, true)
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().expect("text"))
    }
}

/// What the call of `chat` with this name notes in this place: `started`, then how it ended. Waits until it has.
pub(crate) async fn noted(notes: &Engine, request: &str, place: usize) -> String {
    loop {
        let said: Vec<String> = notes.call(request, CallOptions::default()).await.expect("it answers");
        if let Some(note) = said.into_iter().nth(place) {
            return note;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
