//! Servers that stream one Python handler over HTTP, each in its own way, and the load for them.
//!
//! `http_bench pooled|by-hand|ready HANDLER PORT` serves until its standard input closes;
//! `http_bench load PORT CONNECTIONS REQUESTS ITEMS FILE` prints what came back as JSON; `ITEMS` is the number of events of
//! each answer, or `json` for answers of one value.

mod by_hand;
mod load;
mod pooled;
mod ready;

use std::error::Error;
use std::io::Read;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// What a request asks for.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
struct Request {
    items: usize,
}

/// An event as the Python handler's items are encoded, for the server that has them ready.
const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"#,
    r#""model":"demo","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#,
    "\n\n",
);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["pooled", handler, port] => pooled::serve(handler, port.parse()?),
        ["by-hand", handler, port] => by_hand::serve(handler, port.parse()?),
        ["ready", handler, port] => ready::serve(handler, port.parse()?),
        ["load", port, connections, requests, items, body] => {
            let wanted = match *items {
                "json" => load::Wanted::Json,
                items => load::Wanted::Events(items.parse()?),
            };
            load::run(port.parse()?, connections.parse()?, requests.parse()?, wanted, body)
        }
        _ => Err("http_bench pooled|by-hand|ready HANDLER PORT, or load PORT CONNECTIONS REQUESTS ITEMS FILE".into()),
    }
}

/// The runtime of a server: as many threads as a bridge of the same machine has.
fn runtime() -> Result<Runtime, Box<dyn Error>> {
    Ok(Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

/// Serves `router` until the program that started this one closes its end.
async fn serve_axum(router: Router, port: u16) -> std::io::Result<()> {
    let listener = listen(port).await?;
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = input_closed() => Ok(()),
    }
}

async fn input_closed() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let _ = read.await;
}
