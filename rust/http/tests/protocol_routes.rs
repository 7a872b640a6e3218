//! Routes of requests by their heads: tables with both sides of each rule.
#![cfg(feature = "http")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Response, header};
use pybridge::{Format, Framing};
use pybridge_http::{Api, Page, Protocol, ProtocolOptions, Route};
use support::heads::{JSON, answered, called, post, prepared, profile, protocol, route, status, text};

fn openai(models: &[&str]) -> Protocol {
    protocol(ProtocolOptions::default().api(Api::OpenAi).models(models.iter().copied()))
}

/// Guarantee W-27.
#[test]
fn only_post_on_the_path_is_a_call() {
    let protocol = protocol(ProtocolOptions::default());
    called(post(&protocol, &[]));
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = answered(route(&protocol, method, "/generate", &[]));
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"POST".parse().unwrap()), "{method}");
        assert!(text(&answer).contains(r#""code":"method_not_allowed""#), "{}", text(&answer));
    }
    for path in ["/", "/generate/", "/Generate", "/generate/x", "/v1/chat/completions", "/health/live", "/metrics"] {
        for method in ["GET", "POST"] {
            let answer = answered(route(&protocol, method, path, &[]));
            assert_eq!(answer.status(), 404, "{method} {path}");
            assert!(!text(&answer).contains(path) || path == "/", "what was asked for is not repeated");
        }
    }
    called(route(&protocol, "POST", "/generate?x=1", &[]));
}

#[test]
fn the_path_is_the_hosts_to_choose() {
    for (path, asked) in [("/a/b", "/a/b"), ("/", "/"), ("", "/"), ("/%C3%A9", "/%C3%A9")] {
        called(route(&protocol(ProtocolOptions::default().path(path.to_owned())), "POST", asked, &[]));
    }
    for (prefix, asked) in [("", "/models"), ("/", "/models"), ("/api/v2", "/api/v2/models"), ("/v1/", "/v1/models")] {
        let protocol = protocol(ProtocolOptions::default().api(Api::OpenAi).path(prefix.to_owned()));
        assert_eq!(answered(route(&protocol, "GET", asked, &[])).status(), 200, "{prefix}");
    }
}

/// Guarantee W-28.
#[test]
fn pages_are_there_where_they_are_switched_on() {
    let pages = [("/health/live", Page::Live), ("/health/ready", Page::Ready), ("/metrics", Page::Metrics)];
    let all = ProtocolOptions::default().health(true).metrics(true);
    for options in [all.clone(), all.api(Api::OpenAi)] {
        let protocol = protocol(options);
        for (path, page) in pages {
            for method in ["GET", "HEAD"] {
                assert!(matches!(route(&protocol, method, path, &[]), Route::Page(found) if found == page), "{path}");
            }
            let answer = answered(route(&protocol, "POST", path, &[]));
            assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"GET, HEAD".parse().unwrap()));
        }
    }
    let health = protocol(ProtocolOptions::default().health(true));
    assert!(matches!(route(&health, "GET", "/health/live", &[]), Route::Page(Page::Live)));
    assert_eq!(answered(route(&health, "GET", "/metrics", &[])).status(), 404);
}

/// Guarantee W-16.
#[test]
fn a_body_is_as_long_as_it_may_be() {
    let protocol = protocol(ProtocolOptions::default().max_body(10));
    for (length, expected) in [("0", 200), ("10", 200), ("11", 413), ("99999999999999999999", 200), ("x", 200)] {
        assert_eq!(status(&protocol, &[("content-length", length)]), expected, "{length}");
    }
    let incoming = || called(post(&protocol, &[("x-request-id", "r-1")]));
    assert_eq!(incoming().max_body(), 10);
    assert!(incoming().body(Bytes::from_static(&[0; 10])).is_ok());
    for answer in [incoming().body(Bytes::from_static(&[0; 11])).expect_err("too long"), incoming().too_large()] {
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-request-id"]), (413, &"r-1".parse().unwrap()));
        assert!(text(&answer).contains(r#""code":"request_too_large""#), "{}", text(&answer));
        assert!(text(&answer).contains("max_body = 10 bytes"), "{}", text(&answer));
    }
    // The engine's own limit holds as well, and is the one that is named then.
    let mut bounded = profile(Format::Json, false);
    bounded.max_request = Some(5);
    let protocol = Protocol::new(ProtocolOptions::default().max_body(10), bounded).expect("options that can be");
    let refused = called(post(&protocol, &[])).too_large();
    assert!(text(&refused).contains("max_frame_bytes = 5 bytes"), "{}", text(&refused));
}

/// Guarantee W-21.
#[test]
fn headers_become_options_and_the_timeout_is_bounded() {
    let protocol = protocol(ProtocolOptions::default().max_timeout(Duration::from_secs(60)).pass_headers([
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("x-user"),
    ]));
    let headers = [
        ("x-request-id", "r-1"),
        ("x-request-timeout", "3600"),
        ("traceparent", "00-0a-0b-01"),
        ("x-meta-tenant", "blue"),
        ("Authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept-language", "en"),
    ];
    let options = prepared(&protocol, &headers).options;
    assert_eq!((options.request_id.as_deref(), options.timeout), (Some("r-1"), Some(Duration::from_secs(60))));
    assert_eq!(options.traceparent.as_deref(), Some("00-0a-0b-01"));
    let mut metadata: Vec<_> = options.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
    metadata.sort_unstable();
    assert_eq!(metadata, [("authorization", "Bearer x"), ("cookie", "a=1; b=2"), ("tenant", "blue")]);
    let within = prepared(&protocol, &[("x-request-timeout", "0.5")]).options;
    assert_eq!(within.timeout, Some(Duration::from_millis(500)));
    assert_eq!(prepared(&protocol, &[]).options.timeout, None, "the engine's own stands");
}

/// A proxy that vouches for a header removes it where the client sends it; the client must have no other way to it.
#[test]
fn nobody_says_a_passed_header_by_another_name() {
    let protocol = protocol(ProtocolOptions::default().pass_headers([HeaderName::from_static("x-user")]));
    for headers in [&[("x-meta-x-user", "root")][..], &[("x-user", "me"), ("x-meta-x-user", "root")]] {
        assert_eq!(status(&protocol, headers), 400, "{headers:?}");
    }
    assert_eq!(prepared(&protocol, &[("x-user", "me"), ("x-meta-user", "x")]).options.metadata["x-user"], "me");
}

/// Guarantee W-22.
#[test]
fn every_refusal_names_its_request() {
    let protocol = protocol(ProtocolOptions::default());
    let of = |answer: Response<Bytes>| answer.headers()["x-request-id"].to_str().expect("text").to_owned();
    let named = of(answered(route(&protocol, "GET", "/generate", &[("x-request-id", "r-1")])));
    assert_eq!(named, "r-1");
    let made_up = |headers: &[(&str, &str)]| {
        let answer = answered(post(&protocol, headers));
        assert_eq!(answer.status(), 400);
        let body = text(&answer).to_owned();
        let id = of(answer);
        assert!(body.contains(&format!(r#""request_id":"{id}""#)), "{body}");
        id
    };
    let overlong = "x".repeat(300);
    let ids = [&overlong, "a\tb"].map(|id| made_up(&[("x-request-id", id)]));
    let other = made_up(&[("x-request-timeout", "soon")]);
    for id in ids.iter().chain([&other]) {
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
    assert!(ids[0] != ids[1] && ids[1] != other);
}

#[test]
fn openais_paths_are_calls_and_pages() {
    let all = openai(&[]);
    for path in ["/v1/chat/completions", "/v1/completions"] {
        called(route(&all, "POST", path, &[JSON]));
        assert_eq!(answered(route(&all, "GET", path, &[])).status(), 405);
        let incoming = called(route(&all, "POST", path, &[("accept", "text/html")]));
        let asked = |stream: bool| Bytes::from(format!(r#"{{"model":"m","stream":{stream}}}"#));
        let prepared = incoming.body(asked(true)).expect("it is one");
        assert_eq!((prepared.framing, prepared.options.encoded), (Framing::Sse, Some(Format::Json)));
        assert_eq!(
            called(route(&all, "POST", path, &[])).body(asked(false)).expect("it is one").framing,
            Framing::None
        );
        assert_eq!(answered(route(&all, "POST", path, &[("content-type", "application/msgpack")])).status(), 415);
    }
    for path in ["/chat/completions", "/v1", "/v1/", "/v1/models/", "/v2/models", "/generate", "/v1x/models"] {
        let answer = answered(route(&all, "POST", path, &[]));
        assert_eq!(answer.status(), 404, "{path}");
        assert!(text(&answer).starts_with(r#"{"error":{"message":"#), "{}", text(&answer));
    }
    assert_eq!(answered(route(&all, "POST", "/v1/models", &[])).headers()["allow"], "GET, HEAD");
}

#[test]
fn openais_models_are_those_that_are_named() {
    let some = openai(&["small", "org/large"]);
    let get = |path: &str| answered(route(&some, "GET", path, &[("x-request-id", "r-1")]));
    let list = get("/v1/models");
    assert_eq!((list.status().as_u16(), &list.headers()["x-request-id"]), (200, &"r-1".parse().unwrap()));
    assert!(text(&list).contains(r#""id":"small""#) && text(&list).contains(r#""id":"org/large""#));
    for path in ["/v1/models/small", "/v1/models/org/large", "/v1/models/org%2Flarge"] {
        assert_eq!(get(path).status(), 200, "{path}");
    }
    for path in ["/v1/models/other", "/v1/models/%FF", "/v1/models/small/"] {
        let answer = get(path);
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-request-id"]), (404, &"r-1".parse().unwrap()));
        assert!(text(&answer).contains(r#""code":"model_not_found""#), "{}", text(&answer));
    }
    let ask = |model: &str| {
        let incoming = called(route(&some, "POST", "/v1/chat/completions", &[]));
        incoming.body(Bytes::from(format!(r#"{{"model":"{model}"}}"#))).map_err(|answer| answer.status().as_u16())
    };
    assert!(ask("small").is_ok());
    assert_eq!(ask("other").err(), Some(404));
}

#[test]
fn bodies_that_do_not_say_what_openai_asks_for_are_refused_with_all_four_keys() {
    let all = openai(&[]);
    for body in ["", "no JSON", "[]", "{}", r#"{"model":1}"#, r#"{"model":"m","stream":"yes"}"#] {
        let incoming = called(route(&all, "POST", "/v1/chat/completions", &[("x-request-id", "r-1")]));
        let answer = incoming.body(body.into()).expect_err("it is refused");
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-request-id"]), (400, &"r-1".parse().unwrap()));
        let said: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
        let keys: Vec<_> = said["error"].as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "param", "type"], "{body}");
    }
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let default = ProtocolOptions::default;
    let openai = || default().api(Api::OpenAi);
    let table = [
        (default().path("generate".to_owned()), "path"),
        (default().path("/a b".to_owned()), "path"),
        (default().path("/a?b".to_owned()), "path"),
        (default().path("/é".to_owned()), "path"),
        (default().path("/metrics".to_owned()).metrics(true), "path"),
        (default().path("/health/live".to_owned()).health(true), "path"),
        (openai().path("v1".to_owned()), "path"),
        (default().models(["m"]), "models"),
        (openai().models(["m", "m"]), "models"),
        (openai().models([""]), "models"),
        (openai().models(["a\nb"]), "models"),
        (default().max_body(0), "max_body"),
        (default().max_timeout(Duration::ZERO), "max_timeout"),
        (default().pass_headers([HeaderName::from_static("x-request-id")]), "pass_headers"),
        (default().pass_headers([HeaderName::from_static("x-meta-a")]), "pass_headers"),
        (default().pass_headers([header::COOKIE, header::COOKIE]), "pass_headers"),
    ];
    for (options, name) in table {
        let error = Protocol::new(options, profile(Format::Json, false)).expect_err(name);
        assert_eq!(error.option(), name);
        assert!(error.to_string().starts_with(name) && error.reason().len() > 5, "{error}");
    }
    for options in
        [default().path("/metrics".to_owned()), openai().models(["a b"]), default().keep_alive(Duration::ZERO)]
    {
        assert!(Protocol::new(options, profile(Format::Json, false)).is_ok());
    }
}
