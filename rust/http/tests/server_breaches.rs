//! The count of connections that a server ended for what their clients did, or did not do in time.
#![cfg(feature = "server")]

mod support;

use std::time::Duration;

use pybridge_http::{ServerOptions, metrics_text};
use support::frames::{DATA, PREFACE, SETTINGS, frame};
use support::raw::{Raw, chat, get};
use support::service::{LONG, SHORT, Service};
use support::tls::Certificate;
use support::{Version, engine, run};

async fn service(name: &str, options: ServerOptions) -> Service {
    Service::serve(Version::Http1, engine("chat").name(name), options).await
}

/// How many connections to this handler were ended, by reason.
fn broken(handler: &str) -> [u64; 4] {
    ["tls", "protocol", "header_timeout", "write_timeout"].map(|reason| {
        let name = format!("http_connections_broken_total{{reason=\"{reason}\",handler=\"{handler}\"}} ");
        let page = metrics_text();
        let value = page.lines().find_map(|line| line.strip_prefix(&name)).expect("it is there from the start");
        value.parse().expect("a number")
    })
}

async fn until_broken(handler: &str, expected: [u64; 4]) {
    while broken(handler) != expected {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn connections_that_clients_break_are_counted_by_reason() {
    run(async {
        let options = ServerOptions::default().header_timeout(SHORT).write_timeout(SHORT).idle_timeout(LONG);
        let service = service("breaches", options).await;
        // One that keeps to it is none of them.
        let mut good = Raw::connect(&service.address).await;
        good.send(get("/health/live")).await;
        assert_eq!(good.answer().await.0, 200);
        drop(good);
        assert_eq!(broken("breaches"), [0; 4]);
        let mut other = Raw::connect(&service.address).await;
        other.send("no request\r\n\r\n").await;
        other.rest().await;
        until_broken("breaches", [0, 1, 0, 0]).await;
        let mut http2 = Raw::connect(&service.address).await;
        http2.send([PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(DATA, 0, 0, b"x")].concat()).await;
        http2.rest().await;
        until_broken("breaches", [0, 2, 0, 0]).await;
        Raw::connect(&service.address).await.rest().await;
        until_broken("breaches", [0, 2, 1, 0]).await;
        let mut unread = Raw::connect(&service.address).await;
        unread.send(chat("unread", &"megabyte! ".repeat(20))).await;
        until_broken("breaches", [0, 2, 1, 1]).await;
    });
}

#[test]
fn handshakes_that_fail_are_counted() {
    run(async {
        let certificate = Certificate::new();
        let service = service("handshakes", ServerOptions::default().tls(certificate.server())).await;
        let mut plain = Raw::connect(&service.address).await;
        plain.send(get("/health/live")).await;
        plain.rest().await;
        until_broken("handshakes", [1, 0, 0, 0]).await;
        let mut client = certificate.raw(&service.address).await;
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200);
        assert_eq!(broken("handshakes"), [1, 0, 0, 0]);
    });
}
