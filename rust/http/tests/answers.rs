//! Answers of an axum server, as a client sees them on a real connection.
#![cfg(feature = "axum")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use pybridge::codec::Framing;
use pybridge::{CallOptions, Engine, FlowConfig};
use pybridge_http::{FromHeaders, HttpError, Ndjson, Sse};
use support::{Answer, Version, engine, noted, run, send, serve};

const WAIT: Duration = Duration::from_secs(10);
const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

async fn events(State(chat): State<Engine>, headers: HeaderMap, body: Bytes) -> Result<Sse, HttpError> {
    Ok(Sse::open(&chat, body, CallOptions::from_headers(&headers)?, WAIT).await?.last("[DONE]"))
}

async fn lines(State(chat): State<Engine>, headers: HeaderMap, body: Bytes) -> Result<Ndjson, HttpError> {
    Ndjson::open(&chat, body, CallOptions::from_headers(&headers)?, WAIT).await
}

struct Service {
    address: String,
    notes: Engine,
}

impl Service {
    async fn with<H, T>(handler: H) -> Self
    where
        H: axum::handler::Handler<T, Engine>,
        T: 'static,
    {
        let chat =
            engine("chat").flow(FlowConfig::default().max_concurrency(2).max_queue(0)).await.expect("it is there");
        let notes = engine("noted").unary(true).await.expect("it is there");
        let address = serve(Router::new().route("/", post(handler)).with_state(chat));
        Self { address, notes }
    }

    async fn ask(&self, version: Version, id: &str, prompt: &str) -> Answer {
        send(&self.address, version, &[("x-request-id", id)], &format!(r#"{{"prompt": "{prompt}"}}"#)).await
    }
}

fn error(r#type: &str, message: &str, code: &str, request_id: &str) -> String {
    format!(
        r#"{{"error":{{"type":"{type}","message":"{message}","code":"{code}","param":null,"request_id":"{request_id}"}}}}"#
    )
}

#[test]
fn events_come_with_their_headers_and_done_closes_them() {
    run(async {
        let service = Service::with(events).await;
        for version in VERSIONS {
            let answer = service.ask(version, "r-1", "Hello world").await;
            assert_eq!(answer.response.status(), 200);
            let expected = [
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
                ("x-accel-buffering", "no"),
                ("x-request-id", "r-1"),
            ];
            for (name, value) in expected {
                assert_eq!(answer.header(name), Some(value));
            }
            let text = "data: {\"text\":\"Hello\"}\n\ndata: {\"text\":\"world\"}\n\ndata: [DONE]\n\n";
            assert_eq!(answer.text().await, (text.to_owned(), true));
        }
    });
}

#[test]
fn lines_come_with_their_headers() {
    run(async {
        let service = Service::with(lines).await;
        let answer = service.ask(Version::Http1, "r-1", "Hello world").await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(answer.header("x-request-id"), Some("r-1"));
        assert_eq!(answer.text().await, ("{\"text\":\"Hello\"}\n{\"text\":\"world\"}\n".to_owned(), true));
    });
}

#[test]
fn a_stream_without_items_is_a_whole_answer() {
    run(async {
        let service = Service::with(events).await;
        assert_eq!(service.ask(Version::Http1, "r-1", "").await.text().await, ("data: [DONE]\n\n".to_owned(), true));
        let service = Service::with(lines).await;
        assert_eq!(service.ask(Version::Http1, "r-2", "").await.text().await, (String::new(), true));
    });
}

#[test]
fn a_failure_before_the_first_item_has_its_real_status() {
    run(async {
        for service in [Service::with(events).await, Service::with(lines).await] {
            let answer = service.ask(Version::Http1, "r-1", "raise!").await;
            assert_eq!(answer.response.status(), 500);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), (Some("false"), None));
            assert_eq!(answer.header("x-request-id"), Some("r-1"));
            let body = error("server_error", "the handler failed", "handler_error", "r-1");
            assert_eq!(answer.text().await, (body, true), "no text of the exception's");
        }
    });
}

/// Guarantee W-24.
#[test]
fn a_public_error_has_its_own_status_text_and_headers() {
    run(async {
        let service = Service::with(events).await;
        let answer = service.ask(Version::Http1, "r-1", "public!").await;
        assert_eq!(answer.response.status(), 404);
        assert_eq!(answer.header("x-model"), Some("large"));
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_ne!(answer.header("content-length"), Some("7"), "the body's own");
        assert_eq!(answer.header("content-encoding"), None, "the body's own");
        let body = error("not_found_error", "no such model", "model_not_found", "r-1");
        assert_eq!(answer.text().await, (body, true));
    });
}

#[test]
fn a_request_that_is_none_is_the_clients_fault() {
    run(async {
        let service = Service::with(events).await;
        let answer = send(&service.address, Version::Http1, &[], "no JSON").await;
        assert_eq!(answer.response.status(), 400);
        assert_eq!(answer.header("x-should-retry"), None);
        let answer = send(&service.address, Version::Http1, &[("x-request-timeout", "soon")], "{}").await;
        assert_eq!(answer.response.status(), 400);
        assert!(answer.text().await.0.contains(r#""param":"x-request-timeout""#));
    });
}

#[test]
fn a_call_without_a_place_is_told_when_to_come_again() {
    run(async {
        let service = Service::with(events).await;
        let running =
            [service.ask(Version::Http1, "r-1", "a wait!").await, service.ask(Version::Http1, "r-2", "a wait!").await];
        let answer = service.ask(Version::Http1, "r-3", "Hello").await;
        assert_eq!(answer.response.status(), 503);
        assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), (Some("1"), None));
        let body = error("unavailable_error", "there is no room for the call now", "overloaded", "r-3");
        let (text, whole) = answer.text().await;
        assert!(whole);
        assert_eq!(text.split("message").next(), body.split("message").next());
        assert!(text.contains(r#""code":"overloaded""#) && text.contains("r-3"), "{text}");
        drop(running);
    });
}

#[test]
fn a_deadline_has_its_status_before_the_first_item_and_an_event_after_it() {
    run(async {
        let service = Service::with(events).await;
        let ask = async |prompt: &str| {
            let headers = [("x-request-id", "r-1"), ("x-request-timeout", "0.2")];
            send(&service.address, Version::Http1, &headers, &format!(r#"{{"prompt": "{prompt}"}}"#)).await
        };
        let before = ask("wait!").await;
        assert_eq!(before.response.status(), 504);
        assert_eq!(before.header("x-should-retry"), Some("false"));
        let told = error("timeout_error", "stream cancelled: deadline", "deadline", "r-1");
        assert_eq!(before.text().await, (told.clone(), true));
        let after = ask("Hello wait!").await;
        assert_eq!(after.response.status(), 200);
        let expected = format!("data: {{\"text\":\"Hello\"}}\n\nevent: error\ndata: {told}\n\n");
        assert_eq!(after.text().await, (expected, false));
    });
}

/// What was sent arrives, over HTTP/2 too, where a reset may discard what waits; and nobody takes it for the whole.
/// Guarantee W-10.
#[test]
fn a_failure_after_the_head_arrives_and_then_the_answer_breaks_off() {
    run(async {
        let service = Service::with(events).await;
        for version in VERSIONS {
            for number in 0..20 {
                let id = format!("r-{number}");
                let told = error("server_error", "the handler failed", "handler_error", &id);
                let answer = service.ask(version, &id, "Hello raise!").await;
                let expected = format!("data: {{\"text\":\"Hello\"}}\n\nevent: error\ndata: {told}\n\n");
                assert_eq!(answer.text().await, (expected, false), "{version:?}");
            }
        }
    });
}

/// With a client that reads nothing until then, all of it waits in the server when the stream fails.
/// Guarantee W-10.
#[test]
fn what_waits_in_the_server_when_the_stream_fails_arrives() {
    run(async {
        for (service, framing) in [(Service::with(events).await, 8), (Service::with(lines).await, 1)] {
            for version in VERSIONS {
                let id = format!("{version:?}");
                let answer = service.ask(version, &id, "quarter! raise!").await;
                assert_eq!(noted(&service.notes, &id, 1).await, "ValueError");
                let (text, whole) = answer.text().await;
                let items = (1 << 18) + r#"{"text":""}"#.len() + framing;
                let told = text.find("event: error").unwrap_or(text.len());
                assert_eq!((told, whole), (items, false), "{version:?}");
            }
        }
    });
}

#[test]
fn large_items_before_a_failure_arrive_whole() {
    run(async {
        for (service, framing) in [(Service::with(events).await, 8), (Service::with(lines).await, 1)] {
            for version in VERSIONS {
                let (text, whole) =
                    service.ask(version, "r-1", "megabyte! megabyte! megabyte! raise!").await.text().await;
                let items = 3 * ((1 << 20) + r#"{"text":""}"#.len() + framing);
                let told = text.find("event: error").unwrap_or(text.len());
                assert_eq!((told, whole), (items, false), "{version:?}");
            }
        }
    });
}

#[test]
fn a_silent_stream_sends_comments_that_no_empty_line_follows() {
    async fn kept_alive(State(chat): State<Engine>, body: Bytes) -> impl IntoResponse {
        let chunks = chat.chunks(body, Framing::Sse, CallOptions::default()).expect("a place");
        Sse::from(chunks).keep_alive(Duration::from_millis(2)).into_response()
    }
    run(async {
        let service = Service::with(kept_alive).await;
        let (text, whole) = service.ask(Version::Http1, "r-1", "pause! Hello pause! world").await.text().await;
        assert!(whole && text.starts_with(": ka\n") && text.contains("}\n\n: ka\n"), "{text}");
        assert!(!text.contains(": ka\n\n"), "{text}");
        let events = text.replace(": ka\n", "");
        assert_eq!(events, "data: {\"text\":\"Hello\"}\n\ndata: {\"text\":\"world\"}\n\n");
    });
}

#[test]
fn the_head_waits_no_longer_than_it_may() {
    async fn impatient(State(chat): State<Engine>, headers: HeaderMap, body: Bytes) -> Result<Sse, HttpError> {
        Sse::open(&chat, body, CallOptions::from_headers(&headers)?, Duration::from_millis(1)).await
    }
    run(async {
        let service = Service::with(impatient).await;
        let answer = service.ask(Version::Http1, "r-1", "pause! raise!").await;
        assert_eq!(answer.response.status(), 200);
        let told = error("server_error", "the handler failed", "handler_error", "r-1");
        assert_eq!(answer.text().await, (format!("event: error\ndata: {told}\n\n"), false));
    });
}

/// Guarantee W-12.
#[test]
fn a_client_that_goes_cancels_the_handler_wherever_it_is() {
    run(async {
        let service = Service::with(events).await;
        for version in VERSIONS {
            let id = format!("after-{version:?}");
            let mut answer = service.ask(version, &id, "Hello wait!").await;
            answer.piece().await.expect("an item").expect("an item");
            drop(answer);
            assert_eq!(noted(&service.notes, &id, 1).await, "cancelled: client", "{id}");

            let id = format!("before-{version:?}");
            tokio::select! {
                _ = service.ask(version, &id, "wait!") => panic!("the head waits for the first item"),
                started = noted(&service.notes, &id, 0) => assert_eq!(started, "started"),
            }
            assert_eq!(noted(&service.notes, &id, 1).await, "cancelled: client", "{id}");
        }
    });
}

#[test]
fn what_the_headers_say_reaches_the_handler() {
    run(async {
        let service = Service::with(lines).await;
        let headers = [("x-request-id", "r-1"), ("traceparent", "00-0a-0b-01"), ("x-meta-tenant", "blue")];
        let answer = send(&service.address, Version::Http1, &headers, r#"{"prompt": "metadata!"}"#).await;
        let expected = "{\"id\":\"r-1\",\"metadata\":{\"tenant\":\"blue\"},\"trace\":\"00-0a-0b-01\"}\n";
        assert_eq!(answer.text().await, (expected.to_owned(), true));
    });
}
