//! Formats of requests and forms of answers, by their headers: tables of both sides of each rule.
#![cfg(feature = "http")]

mod support;

use std::time::{Duration, Instant};

use http::header;
use pybridge::{Format, Framing};
use pybridge_http::ProtocolOptions;
use support::heads::{JSON, answered, of_format, post, prepared, protocol, status, text};

/// Guarantee W-02.
#[test]
fn the_content_type_says_the_format_of_the_request() {
    let protocol = protocol(ProtocolOptions::default());
    assert_eq!(prepared(&protocol, &[]).options.encoded, Some(Format::Json), "unless it says so");
    let table = [
        ("application/json", Some(Format::Json)),
        ("Application/JSON", Some(Format::Json)),
        (" application/json ", Some(Format::Json)),
        ("application/json; charset=utf-8", Some(Format::Json)),
        ("application/json;charset=UTF-8;x=y", Some(Format::Json)),
        ("application/json; charset=\"Utf-8\"", Some(Format::Json)),
        ("application/vnd.acme.chat+json", Some(Format::Json)),
        ("application/msgpack", Some(Format::Msgpack)),
        ("application/vnd.msgpack; v=1", Some(Format::Msgpack)),
        ("application/x-msgpack", Some(Format::Msgpack)),
        ("application/json; charset=latin-1", None),
        ("application/json; charset=utf-16", None),
        ("application/json; charset=utf-8; charset=latin-1", None),
        ("application/x-www-form-urlencoded", None),
        ("multipart/form-data; boundary=x", None),
        ("text/plain", None),
        ("text/json", None),
        ("application/msgpack+xml", None),
        ("application", None),
        ("application/json, application/json", None),
        ("json", None),
        ("*/*", None),
        ("/", None),
        ("", None),
    ];
    for (value, expected) in table {
        let headers = [("content-type", value)];
        if expected.is_some() {
            assert_eq!(prepared(&protocol, &headers).options.encoded, expected, "{value}");
        } else {
            let answer = answered(post(&protocol, &headers));
            assert_eq!(answer.status(), 415, "{value}");
            assert!(text(&answer).contains(r#""param":"content-type""#), "{}", text(&answer));
        }
    }
    assert_eq!(status(&protocol, &[JSON, ("content-type", "application/msgpack")]), 415, "it is given once");
}

#[test]
fn a_body_that_is_compressed_is_refused() {
    let protocol = protocol(ProtocolOptions::default());
    for (coding, expected) in [("gzip", 415), ("br", 415), ("identity", 200), ("Identity", 200)] {
        assert_eq!(status(&protocol, &[JSON, ("content-encoding", coding)]), expected, "{coding}");
    }
}

#[test]
fn the_handler_of_a_raw_engine_gets_bytes_of_any_type() {
    let raw = of_format(Format::Raw, false);
    for content_type in ["image/png", "text/plain; charset=latin-1", "nonsense", "application/json"] {
        let prepared = prepared(&raw, &[("content-type", content_type), ("content-encoding", "gzip")]);
        assert_eq!((prepared.options.encoded, prepared.options.codec), (None, None), "{content_type}");
    }
}

/// Guarantee W-03.
#[test]
fn accept_says_the_form_of_the_answer() {
    let (sse, lines, none) = (Framing::Sse, Framing::Ndjson, Framing::None);
    let msgpack = Some(Format::Msgpack);
    let table = [
        ("*/*", Some((lines, None))),
        ("application/*", Some((lines, None))),
        ("text/event-stream", Some((sse, None))),
        ("text/*", Some((sse, None))),
        ("application/x-ndjson", Some((lines, None))),
        ("application/jsonl", Some((lines, None))),
        ("application/json", Some((lines, None))),
        ("application/msgpack", Some((none, msgpack))),
        ("application/vnd.msgpack", Some((none, msgpack))),
        ("application/x-msgpack;q=0.1", Some((none, msgpack))),
        ("text/event-stream;q=0.5, application/msgpack;q=0.6", Some((none, msgpack))),
        ("text/html", None),
        ("text/plain", None),
        ("application/octet-stream", None),
        ("*/*;q=0", None),
    ];
    for format in [Format::Json, Format::Msgpack] {
        for unary in [false, true] {
            let protocol = of_format(format, unary);
            for (accept, expected) in table {
                let headers = [("accept", accept)];
                if let Some(expected) = expected {
                    let prepared = prepared(&protocol, &headers);
                    assert_eq!((prepared.framing, prepared.options.codec), expected, "{accept}");
                } else {
                    let answer = answered(post(&protocol, &headers));
                    assert_eq!(answer.status(), 406, "{accept}");
                    assert!(text(&answer).contains(r#""param":"accept""#), "{}", text(&answer));
                }
            }
        }
    }
}

#[test]
fn raw_items_go_out_as_they_are() {
    let raw = of_format(Format::Raw, false);
    let table = [
        ("*/*", Some(Framing::Ndjson)),
        ("text/event-stream", Some(Framing::Sse)),
        ("application/x-ndjson", Some(Framing::Ndjson)),
        ("application/octet-stream", Some(Framing::None)),
        ("text/plain", Some(Framing::None)),
        ("application/json", None),
        ("application/msgpack", None),
    ];
    for (accept, expected) in table {
        match expected {
            Some(framing) => assert_eq!(prepared(&raw, &[("accept", accept)]).framing, framing, "{accept}"),
            None => assert_eq!(status(&raw, &[("accept", accept)]), 406, "{accept}"),
        }
    }
}

/// Guarantee L-07.
#[test]
fn heads_of_hostile_clients_take_little_time() {
    let protocol = protocol(ProtocolOptions::default().pass_headers([header::COOKIE]));
    let long = "application/x;q=0.1,".repeat(4000) + "text/event-stream";
    let mut headers = vec![("accept", &*long); 20];
    headers.push(("content-type", "application/json;a=\"\\\"\";b=c"));
    let started = Instant::now();
    assert_eq!(prepared(&protocol, &headers).framing, Framing::Sse);
    let parameters = "application/json".to_owned() + &"; a=\"b\"".repeat(50_000);
    assert_eq!(status(&protocol, &[("content-type", &parameters)]), 200);
    let unclosed = "application/json".to_owned() + &"; a=\"b".repeat(50_000);
    assert_eq!(status(&protocol, &[("content-type", &unclosed), ("accept", &unclosed)]), 415);
    let cookies = vec![("cookie", "a=1"); 20_000];
    assert_eq!(status(&protocol, &cookies), 400);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
