//! Clients that go while their requests are answered. No deadline of the server is as short as that of a test.
#![cfg(feature = "server")]

mod support;

use futures_util::future::join_all;
use h2::client::SendRequest;
use http::Request;
use pybridge_http::{Listener, ServerOptions, serve};
use support::raw::{Raw, chat, get};
use support::service::Service;
use support::tls::Certificate;
use support::{Version, engine, run};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Where a handler is when its client goes.
const PLACES: [&str; 3] = ["wait!", "Hello wait!", "Hello pause! wait!"];

/// What a client has sent behind the request that is answered: nothing, a request, a part of one.
const BEHIND: [&str; 3] = ["", "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n", "GET /hea"];

#[derive(Debug, Clone, Copy)]
enum Way {
    /// It closes its end, and still waits for the answer.
    HalfClose,
    Close,
    Reset,
}

async fn go(mut client: Raw, way: Way) -> Option<Raw> {
    match way {
        Way::HalfClose => client.stream.shutdown().await.expect("it is open"),
        Way::Close => return None,
        Way::Reset => {
            client.reset();
            return None;
        }
    }
    Some(client)
}

/// Guarantee W-12.
#[test]
fn a_client_that_goes_cancels_its_handler_whatever_it_has_sent_behind_the_request() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        let service = &service;
        let mut cases = Vec::new();
        for way in [Way::HalfClose, Way::Close, Way::Reset] {
            for place in PLACES {
                for (index, behind) in BEHIND.into_iter().enumerate() {
                    cases.push(async move {
                        let id = format!("{way:?}-{index}-{}", place.replace([' ', '!'], ""));
                        let mut client = Raw::connect(&service.address).await;
                        client.send(chat(&id, place) + behind).await;
                        assert_eq!(service.noted(&id, 0).await, "started");
                        if place.contains("Hello") {
                            client.until("Hello").await;
                        }
                        let _open = go(client, way).await;
                        assert_eq!(service.noted(&id, 1).await, "cancelled: client", "{id}");
                    });
                }
            }
        }
        join_all(cases).await;
    });
}

/// The request that comes later finds the server looking elsewhere: it must be seen, and so must the end behind it.
#[test]
fn a_client_that_sends_more_later_and_goes_cancels_its_handler() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(chat("later", "Hello wait!")).await;
        client.until("Hello").await;
        for _ in 0..3 {
            client.send(get("/health/live")).await;
        }
        client.stream.shutdown().await.expect("it is open");
        assert_eq!(service.noted("later", 1).await, "cancelled: client");
    });
}

/// Guarantee W-12.
#[test]
fn a_client_that_goes_without_reading_ends_a_handler_that_waits_for_it() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        for way in [Way::HalfClose, Way::Close, Way::Reset] {
            for (index, behind) in BEHIND.into_iter().enumerate() {
                let id = format!("full-{way:?}-{index}");
                let mut client = Raw::connect(&service.address).await;
                client.send(chat(&id, &format!("{} wait!", "megabyte! ".repeat(40))) + behind).await;
                client.head().await;
                let _open = go(client, way).await;
                // It ends at a yield, where nothing is raised that it catches.
                service.noted(&id, 1).await;
            }
        }
    });
}

#[test]
fn an_answer_in_one_piece_is_not_made_for_a_client_that_has_gone() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        for behind in BEHIND {
            let id = format!("whole-{}", behind.len());
            let request = chat(&id, "Hello wait!").replace("text/event-stream", "application/json");
            let mut client = Raw::connect(&service.address).await;
            client.send(request + behind).await;
            assert_eq!(service.noted(&id, 0).await, "started");
            drop(client);
            assert_eq!(service.noted(&id, 1).await, "cancelled: client", "{id}");
        }
    });
}

#[test]
fn clients_of_tls_and_of_unix_sockets_are_noticed_too() {
    run(async {
        let certificate = Certificate::new();
        let options = ServerOptions::default().tls(certificate.server());
        let service = Service::serve(Version::Http1, engine("chat"), options).await;
        let path = std::env::temp_dir().join(format!("pybridge-gone-{}.sock", std::process::id()));
        let listener = Listener::unix(&path).expect("a socket");
        let _server = serve(service.engine.clone(), [listener], ServerOptions::default()).expect("it serves");
        for (index, behind) in BEHIND.into_iter().enumerate() {
            let (tls, unix) = (format!("tls-{index}"), format!("unix-{index}"));
            let mut client = certificate.raw(&service.address).await;
            client.send(chat(&tls, "Hello wait!") + behind).await;
            client.until("Hello").await;
            drop(client);
            assert_eq!(service.noted(&tls, 1).await, "cancelled: client", "{tls}");
            let mut client = Raw::connect_unix(&path).await;
            client.send(chat(&unix, "Hello wait!") + behind).await;
            client.until("Hello").await;
            drop(client);
            assert_eq!(service.noted(&unix, 1).await, "cancelled: client", "{unix}");
        }
    });
}

async fn http2(address: &str) -> SendRequest<bytes::Bytes> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) = h2::client::handshake(stream).await.expect("it speaks");
    tokio::spawn(connection);
    sender
}

/// What is in flight is bounded: the engine's window, hyper's buffer, the kernel's.
/// Guarantee W-14.
#[test]
fn what_a_client_does_not_read_is_not_made() {
    run(async {
        let prompt = "megabyte! ".repeat(60);
        for version in [Version::Http1, Version::Http2] {
            let service = Service::serve(version, engine("chat"), ServerOptions::default()).await;
            let unread = service.ask("application/x-ndjson", "unread", &prompt).await;
            // Time in which one that is not held up makes all of it.
            for index in 0..100 {
                service.ask("*/*", &format!("other-{index}"), "Hello").await.text().await;
            }
            let made = service.engine.stats().frames - 100;
            assert!((1..20).contains(&made), "{version:?}: {made} items");
            assert_eq!(unread.status(), 200);
        }
    });
}

/// Guarantee W-13.
#[test]
fn streams_of_one_connection_are_cancelled_one_by_one() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default()).await;
        let mut sender = http2(&service.address).await;
        let mut streams = Vec::new();
        for index in 0..10 {
            let request = Request::post("http://localhost/generate").header("x-request-id", format!("stream-{index}"));
            let (answer, mut body) = sender.send_request(request.body(()).expect("a request"), false).expect("room");
            let prompt = if index % 2 == 0 { "Hello wait!" } else { "Hello pause! pause! pause! pause! world" };
            body.send_data(format!(r#"{{"prompt":"{prompt}"}}"#).into(), true).expect("room");
            let (head, mut answer) = answer.await.expect("an answer").into_parts();
            assert_eq!(head.status, 200);
            answer.data().await.expect("an item").expect("an item");
            streams.push((body, answer));
        }
        for (body, _) in streams.iter_mut().step_by(2) {
            body.send_reset(h2::Reason::CANCEL);
        }
        for (index, (_, answer)) in streams.iter_mut().enumerate() {
            if index % 2 == 0 {
                assert_eq!(service.noted(&format!("stream-{index}"), 1).await, "cancelled: client");
            } else {
                let mut rest = Vec::new();
                while let Some(piece) = answer.data().await {
                    rest.extend_from_slice(&piece.expect("it goes on"));
                }
                assert!(rest.ends_with(b"{\"text\":\"world\"}\n"), "{rest:?}");
                assert_eq!(service.noted(&format!("stream-{index}"), 1).await, "finished");
            }
        }
    });
}

#[test]
fn the_end_of_a_connection_cancels_all_its_streams() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default()).await;
        let mut sender = http2(&service.address).await;
        let mut answers = Vec::new();
        for (index, prompt) in PLACES.into_iter().enumerate() {
            let request = Request::post("http://localhost/generate").header("x-request-id", format!("all-{index}"));
            let (answer, mut body) = sender.send_request(request.body(()).expect("a request"), false).expect("room");
            body.send_data(format!(r#"{{"prompt":"{prompt}"}}"#).into(), true).expect("room");
            answers.push((answer, body));
            assert_eq!(service.noted(&format!("all-{index}"), 0).await, "started");
        }
        drop((sender, answers));
        for index in 0..PLACES.len() {
            assert_eq!(service.noted(&format!("all-{index}"), 1).await, "cancelled: client");
        }
    });
}
