//! The server while Python does nothing.
#![cfg(feature = "server")]

mod support;

use pybridge_http::ServerOptions;
use support::raw::{Raw, chat, get};
use support::service::Service;
use support::{Version, engine, run};

/// How long the event loop has not answered, by the page of health on a new connection.
async fn stalled_ms(service: &Service) -> u64 {
    let mut client = Raw::connect(&service.address).await;
    client.send(get("/health/live")).await;
    let (status, _, body) = client.answer().await;
    assert_eq!(status, 200);
    let (_, number) = body.trim_end_matches('}').rsplit_once(':').expect("a number");
    number.parse().expect("a number")
}

/// Guarantee D-08.
#[test]
fn while_a_handler_holds_the_interpreter_connections_are_accepted_and_pages_answered() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(chat("holds", "Hello pause! hold! world")).await;
        client.until("Hello").await;
        // It says so only while the loop stands still.
        while stalled_ms(&service).await < 300 {}
        for path in ["/health/ready", "/metrics", "/none"] {
            let mut other = Raw::connect(&service.address).await;
            other.send(get(path)).await;
            assert_eq!(other.answer().await.0, if path == "/none" { 404 } else { 200 });
        }
        let mut bad = Raw::connect(&service.address).await;
        bad.send("no request\r\n\r\n").await;
        assert!(bad.rest().await.starts_with("HTTP/1.1 400"));
        client.until("world").await;
    });
}
