//! The protocol on the server, as clients see it on real connections.
#![cfg(feature = "server")]

mod support;

use std::time::Duration;

use pybridge::{CodecSpec, FlowConfig, Framing};
use pybridge_http::{Plain, ProtocolOptions};
use support::service::{Service, chat};
use support::{Version, engine, run};

const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];
const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";
const MSGPACK: &str = "application/msgpack";

fn error(r#type: &str, message: &str, code: &str, request_id: &str) -> String {
    format!(
        r#"{{"error":{{"type":"{type}","message":"{message}","code":"{code}","param":null,"request_id":"{request_id}"}}}}"#
    )
}

#[test]
fn items_come_in_the_form_that_was_asked_for() {
    run(async {
        for version in VERSIONS {
            let service = chat(version).await;
            let lines = "{\"text\":\"Hello\"}\n{\"text\":\"world\"}\n";
            let events = "data: {\"text\":\"Hello\"}\n\ndata: {\"text\":\"world\"}\n\n";
            let msgpack = "\u{81}\u{a4}text\u{a5}Hello\u{81}\u{a4}text\u{a5}world";
            let msgpack: Vec<u8> = msgpack.chars().map(|byte| u8::try_from(byte).expect("a byte")).collect();
            let table = [
                ("*/*", LINES, lines.as_bytes()),
                (LINES, LINES, lines.as_bytes()),
                ("application/jsonl", "application/jsonl", lines.as_bytes()),
                (EVENTS, "text/event-stream; charset=utf-8", events.as_bytes()),
                (MSGPACK, MSGPACK, &msgpack),
                ("application/vnd.msgpack", "application/vnd.msgpack", &msgpack),
                (JSON, JSON, br#"[{"text":"Hello"},{"text":"world"}]"#),
            ];
            for (accept, content_type, body) in table {
                let answer = service.ask(accept, "r-1", "Hello world").await;
                assert_eq!((answer.status(), answer.header("content-type")), (200, Some(content_type)), "{accept}");
                assert_eq!(answer.header("x-request-id"), Some("r-1"));
                let is_stream = accept != JSON;
                assert_eq!(answer.header("cache-control"), is_stream.then_some("no-cache"), "{accept}");
                assert_eq!(answer.header("x-accel-buffering"), is_stream.then_some("no"), "{accept}");
                assert_eq!(answer.bytes().await, (body.to_vec(), true), "{accept}");
            }
        }
    });
}

#[test]
fn a_request_is_read_in_the_format_that_it_says() {
    run(async {
        for codec in [CodecSpec::json(), CodecSpec::msgpack()] {
            let service = Service::start(Version::Http1, engine("chat").codec(codec), ProtocolOptions::default()).await;
            let msgpack = b"\x81\xa6prompt\xa5Hello";
            for (content_type, body) in [(JSON, &br#"{"prompt":"Hello"}"#[..]), (MSGPACK, msgpack)] {
                let answer = service.send("POST /generate", &[("content-type", content_type)], body).await;
                assert_eq!(answer.text().await, ("{\"text\":\"Hello\"}\n".to_owned(), true), "{content_type}");
            }
            let answer = service.send("POST /generate", &[("content-type", JSON)], msgpack).await;
            assert_eq!((answer.status(), answer.header("x-should-retry")), (400, None));
            assert!(answer.text().await.0.contains(r#""code":"decode_error""#));
        }
    });
}

#[test]
fn a_stream_without_items_is_a_whole_answer() {
    run(async {
        let service = chat(Version::Http1).await;
        for (accept, body) in [(EVENTS, ""), (LINES, ""), (MSGPACK, ""), (JSON, "[]")] {
            let answer = service.ask(accept, "r-1", "").await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.header("content-length"), Some(&*body.len().to_string()), "{accept}");
            assert_eq!(answer.text().await, (body.to_owned(), true), "{accept}");
        }
    });
}

#[test]
fn one_value_is_one_value() {
    run(async {
        let service = Service::start(Version::Http1, engine("one").unary(true), ProtocolOptions::default()).await;
        let (value, line) = (r#"{"text":"Hello"}"#, "{\"text\":\"Hello\"}\n");
        let event = "data: {\"text\":\"Hello\"}\n\n";
        for (accept, content_type, body) in [
            ("*/*", JSON, value),
            (JSON, JSON, value),
            (LINES, LINES, line),
            (EVENTS, "text/event-stream; charset=utf-8", event),
        ] {
            let answer = service.ask(accept, "r-1", "Hello").await;
            assert_eq!(answer.header("content-type"), Some(content_type));
            assert_eq!(answer.text().await, (body.to_owned(), true), "{accept}");
        }
        let answer = service.ask("*/*", "r-2", "raise!").await;
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.text().await.0, error("server_error", "the handler failed", "handler_error", "r-2"));
    });
}

#[test]
fn raw_items_are_sent_as_they_are() {
    run(async {
        let raw = engine("lengths").codec(CodecSpec::raw());
        let service = Service::start(Version::Http1, raw, ProtocolOptions::default()).await;
        let table = [
            ("*/*", LINES, "any bytes\n9\n"),
            (EVENTS, "text/event-stream; charset=utf-8", "data: any bytes\n\ndata: 9\n\n"),
            ("application/octet-stream", "application/octet-stream", "any bytes9"),
            ("text/plain", "text/plain; charset=utf-8", "any bytes9"),
        ];
        for (accept, content_type, body) in table {
            let headers = [("content-type", "image/png"), ("accept", accept)];
            let answer = service.send("POST /generate", &headers, b"any bytes").await;
            assert_eq!(answer.header("content-type"), Some(content_type));
            assert_eq!(answer.text().await, (body.to_owned(), true), "{accept}");
        }
    });
}

/// Guarantee W-05.
#[test]
fn a_failure_before_the_head_has_its_real_status() {
    run(async {
        for version in VERSIONS {
            let service = chat(version).await;
            for accept in [EVENTS, LINES, MSGPACK, JSON] {
                let answer = service.ask(accept, "r-1", "raise!").await;
                assert_eq!((answer.status(), answer.header("content-type")), (500, Some(JSON)), "{accept}");
                assert_eq!(
                    (answer.header("x-should-retry"), answer.header("x-request-id")),
                    (Some("false"), Some("r-1"))
                );
                let told = error("server_error", "the handler failed", "handler_error", "r-1");
                assert_eq!(answer.text().await, (told, true));
                let answer = service.ask(accept, "r-2", "public!").await;
                assert_eq!((answer.status(), answer.header("retry-after")), (404, Some("30")));
                let told = error("not_found_error", "no such model", "model_not_found", "r-2");
                assert_eq!(answer.text().await, (told, true));
            }
        }
    });
}

/// Guarantee W-11.
#[test]
fn an_answer_in_one_piece_keeps_its_real_status_however_late_it_fails() {
    run(async {
        let service = chat(Version::Http1).await;
        let answer = service.ask(JSON, "r-1", "Hello pause! world raise!").await;
        assert_eq!((answer.status(), answer.header("x-should-retry")), (500, Some("false")));
        assert_eq!(answer.text().await, (error("server_error", "the handler failed", "handler_error", "r-1"), true));
    });
}

/// Guarantee W-09.
#[test]
fn a_failure_after_the_head_is_told_and_breaks_the_answer_off() {
    run(async {
        for version in VERSIONS {
            let service = chat(version).await;
            let told = error("server_error", "the handler failed", "handler_error", "r-1");
            let events = format!("data: {{\"text\":\"Hello\"}}\n\nevent: error\ndata: {told}\n\n");
            for (accept, expected) in [(EVENTS, &*events), (LINES, "{\"text\":\"Hello\"}\n")] {
                for prompt in ["Hello raise!", "Hello pause! raise!"] {
                    let answer = service.ask(accept, "r-1", prompt).await;
                    assert_eq!(answer.status(), 200, "{accept} {prompt}");
                    assert_eq!(answer.text().await, (expected.to_owned(), false), "{version:?} {accept} {prompt}");
                }
            }
            let (bytes, whole) = service.ask(MSGPACK, "r-1", "Hello raise!").await.bytes().await;
            assert_eq!((&*bytes, whole), (&b"\x81\xa4text\xa5Hello"[..], false));
        }
    });
}

/// Guarantee W-06.
#[test]
fn the_head_waits_no_longer_than_it_may_and_comments_follow() {
    run(async {
        let options =
            ProtocolOptions::default().commit_after(Duration::from_millis(1)).keep_alive(Duration::from_millis(2));
        let service = Service::start(Version::Http1, engine("chat"), options).await;
        let answer = service.ask(EVENTS, "r-1", "pause! Hello pause! raise!").await;
        assert_eq!(answer.status(), 200);
        let (text, whole) = answer.text().await;
        assert!(text.starts_with(": ka\n") && text.contains("}\n\n: ka\n") && !text.contains(": ka\n\n"), "{text}");
        assert!(
            !whole && text.replace(": ka\n", "").starts_with("data: {\"text\":\"Hello\"}\n\nevent: error\n"),
            "{text}"
        );
        let (text, whole) = service.ask(LINES, "r-2", "pause! Hello pause! world").await.text().await;
        assert_eq!((&*text, whole), ("{\"text\":\"Hello\"}\n{\"text\":\"world\"}\n", true), "lines have no comments");
        let answer = service.ask(JSON, "r-3", "pause! raise!").await;
        assert_eq!(answer.status(), 500, "an answer in one piece waits");
    });
}

/// Guarantee W-12.
#[test]
fn a_client_that_goes_cancels_the_handler_wherever_it_is() {
    run(async {
        for version in VERSIONS {
            let service = chat(version).await;
            for accept in [EVENTS, LINES, JSON] {
                let id = format!("before-{version:?}-{accept}");
                tokio::select! {
                    answer = service.ask(accept, &id, "wait!") => panic!("status {}", answer.status()),
                    started = service.noted(&id, 0) => assert_eq!(started, "started"),
                }
                assert_eq!(service.noted(&id, 1).await, "cancelled: client", "{id}");
            }
            let id = format!("gathering-{version:?}");
            tokio::select! {
                answer = service.ask(JSON, &id, "Hello wait!") => panic!("status {}", answer.status()),
                started = service.noted(&id, 0) => assert_eq!(started, "started"),
            }
            assert_eq!(service.noted(&id, 1).await, "cancelled: client", "{id}");
            let id = format!("after-{version:?}");
            let mut answer = service.ask(EVENTS, &id, "Hello wait!").await;
            answer.piece().await.expect("an item").expect("an item");
            drop(answer);
            assert_eq!(service.noted(&id, 1).await, "cancelled: client", "{id}");
        }
    });
}

/// Guarantee W-15.
#[test]
fn a_call_without_a_place_or_an_engine_is_told_when_to_come_again() {
    run(async {
        let busy = engine("chat").flow(FlowConfig::default().max_concurrency(1).max_queue(0));
        let service = Service::start(Version::Http1, busy, ProtocolOptions::default()).await;
        let running = service.ask(EVENTS, "r-1", "Hello wait!").await;
        for accept in [EVENTS, JSON] {
            let answer = service.ask(accept, "r-2", "Hello").await;
            assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
            assert_eq!((answer.header("x-should-retry"), answer.header("x-request-id")), (None, Some("r-2")));
            assert!(answer.text().await.0.contains(r#""code":"overloaded""#));
        }
        let headers = [("content-type", JSON)];
        let unnamed = service.send("POST /generate", &headers, b"{}").await;
        assert_eq!(unnamed.header("x-request-id").map(str::len), Some(16), "a name is made up");
        drop(running);
        service.engine.close();
        let answer = service.ask(EVENTS, "r-3", "Hello").await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
        assert!(answer.text().await.0.contains(r#""code":"engine_closed""#));
    });
}

#[test]
fn a_body_that_grows_too_long_is_refused() {
    run(async {
        for version in VERSIONS {
            let service = Service::start(version, engine("chat"), ProtocolOptions::default().max_body(64)).await;
            let answer = service.ask(LINES, "r-1", &"x".repeat(64)).await;
            assert_eq!((answer.status(), answer.header("x-request-id")), (413, Some("r-1")));
            assert!(answer.text().await.0.contains(r#""code":"request_too_large""#));
            assert_eq!(service.ask(LINES, "r-2", "Hello").await.status(), 200);
        }
    });
}

#[test]
fn a_request_without_a_name_gets_that_of_its_stream() {
    run(async {
        let service = chat(Version::Http1).await;
        let answer = service.send("POST /generate", &[], br#"{"prompt":"metadata!"}"#).await;
        let id = answer.header("x-request-id").expect("it has one").to_owned();
        let (text, _) = answer.text().await;
        assert!(text.contains(&format!(r#""id":"{id}""#)), "{text} {id}");
    });
}

#[test]
fn pages_tell_of_the_service() {
    run(async {
        let options = ProtocolOptions::default().health(true).metrics(true);
        let service = Service::start(Version::Http1, engine("chat"), options).await;
        let live = service.send("GET /health/live", &[], b"").await;
        assert_eq!((live.status(), live.header("content-type")), (200, Some(JSON)));
        assert_eq!(live.text().await.0, r#"{"status":"ok","loop_stalled_ms":0}"#);
        assert_eq!(service.send("GET /health/ready", &[], b"").await.text().await.0, r#"{"status":"ready"}"#);
        let metrics = service.send("GET /metrics", &[], b"").await;
        assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
        assert!(metrics.text().await.0.contains("pybridge_"));
        assert_eq!(service.send("HEAD /health/live", &[], b"").await.text().await, (String::new(), true));
        let draining = pybridge_http::ready_page(false);
        assert_eq!((draining.status().as_u16(), &**draining.body()), (503, &br#"{"status":"draining"}"#[..]));
        let stalled = pybridge_http::live_page(Duration::from_millis(1500));
        assert_eq!(
            (stalled.status().as_u16(), &**stalled.body()),
            (200, &br#"{"status":"ok","loop_stalled_ms":1500}"#[..])
        );
    });
}

#[test]
fn with_a_flush_interval_items_leave_together() {
    run(async {
        let options = ProtocolOptions::default().flush_interval(Duration::from_secs(3600));
        let service = Service::start(Version::Http1, engine("chat"), options).await;
        for (accept, first, rest) in [
            (LINES, "{\"text\":\"a\"}\n", "{\"text\":\"b\"}\n{\"text\":\"c\"}\n"),
            (EVENTS, "data: {\"text\":\"a\"}\n\n", "data: {\"text\":\"b\"}\n\ndata: {\"text\":\"c\"}\n\n"),
        ] {
            let mut answer = service.ask(accept, "r-1", "a pause! b pause! c").await;
            let pieces = [answer.piece().await, answer.piece().await].map(|piece| piece.expect("one").expect("one"));
            assert_eq!(pieces, [first.as_bytes(), rest.as_bytes()], "the first and the end leave at once");
            assert!(answer.piece().await.is_none());
        }
    });
}

#[test]
fn a_route_of_the_hosts_own_answers_in_its_framing() {
    run(async {
        let msgpack = Some(pybridge::Format::Msgpack);
        let table = [
            (Framing::Sse, None, "text/event-stream; charset=utf-8"),
            (Framing::Ndjson, None, LINES),
            (Framing::None, msgpack, MSGPACK),
            (Framing::Length, None, "application/octet-stream"),
        ];
        for (framing, codec, content_type) in table {
            let mut plain = Plain::new(framing);
            plain.codec = codec;
            let service = Service::plain(Version::Http1, engine("chat"), plain).await;
            let answer = service.ask("text/html", "", "Hello").await;
            assert_eq!((answer.status(), answer.header("content-type")), (200, Some(content_type)));
            assert!(answer.header("x-request-id").is_some());
            assert_eq!(service.ask("", "", "raise!").await.status(), 500);
            let (_, whole) = service.ask("", "", "Hello raise!").await.bytes().await;
            assert!(!whole, "{framing:?}");
        }
    });
}
