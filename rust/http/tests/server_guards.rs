//! Guards of a server, over real sockets: keys, and pages of other origins.
#![cfg(feature = "server")]

mod support;

use pybridge_http::{Api, ProtocolOptions, ServerOptions};
use serde_json::Value;
use support::raw::{Raw, header, status};
use support::service::Service;
use support::{Version, run};

const PAGE: &str = "https://app.example.org";
const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// Guarantee D-18.
#[test]
fn without_a_key_nothing_but_the_pages_of_health_is_there() {
    run(async {
        for (version, name) in VERSIONS.into_iter().zip(["keyed-1", "keyed-2"]) {
            let service = Service::chat(version, name, ServerOptions::default().api_keys(["first", "second"])).await;
            for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("x-api-key", "")]] {
                for line in ["POST /generate", "GET /metrics", "GET /nothing", "POST /health/live", "OPTIONS /generate"]
                {
                    let answer = service.send(line, headers, br#"{"prompt":"a"}"#).await;
                    assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some("Bearer")), "{line}");
                    let body: Value = serde_json::from_str(&answer.text().await.0).expect("JSON");
                    assert_eq!(body["error"]["type"], "authentication_error");
                    assert_eq!(body["error"]["code"], "invalid_api_key");
                }
            }
            assert_eq!(service.engine.stats().streams.started, 0);
            for path in ["GET /health/live", "GET /health/ready"] {
                assert_eq!(service.send(path, &[], b"").await.status(), 200);
            }
            for key in [("authorization", "Bearer first"), ("x-api-key", "second")] {
                assert_eq!(service.send("POST /generate", &[key], br#"{"prompt":"a"}"#).await.status(), 200);
                assert_eq!(service.send("GET /metrics", &[key], b"").await.status(), 200);
            }
        }
    });
}

/// Guarantee D-18.
#[test]
fn a_request_without_a_key_is_refused_before_its_body() {
    run(async {
        let service = Service::chat(Version::Http1, "keyed-early", ServerOptions::default().api_keys(["key"])).await;
        let mut client = Raw::connect(&service.address).await;
        client.send("POST /generate HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "connection")), (401, Some("close")));
    });
}

#[test]
fn clients_of_openai_are_refused_in_the_shape_that_they_know() {
    run(async {
        let protocol = ProtocolOptions::default().api(Api::OpenAi);
        let options = ServerOptions::default().protocol(protocol).api_keys(["key"]);
        let service = Service::chat(Version::Http1, "keyed-openai", options).await;
        let answer = service.send("POST /v1/chat/completions", &[], b"{}").await;
        assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some("Bearer")));
        let body: Value = serde_json::from_str(&answer.text().await.0).expect("JSON");
        let error = body["error"].as_object().expect("an object");
        assert_eq!((error.len(), &error["code"]), (4, &Value::from("invalid_api_key")));
    });
}

/// Guarantee D-19.
#[test]
fn pages_of_allowed_origins_may_ask_and_read_every_answer() {
    run(async {
        for (version, name) in VERSIONS.into_iter().zip(["cors-1", "cors-2"]) {
            let options = ServerOptions::default().cors_origins([PAGE]).api_keys(["key"]);
            let service = Service::chat(version, name, options).await;
            let asks = |origin| {
                [
                    ("origin", origin),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "authorization,content-type"),
                ]
            };
            let answer = service.send("OPTIONS /generate", &asks(PAGE), b"").await;
            assert_eq!(answer.status(), 204, "browsers send no key with it");
            assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
            assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
            assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
            let answer = service.send("OPTIONS /generate", &asks("https://evil.example"), b"").await;
            assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (204, None));
            let with_key = [("origin", PAGE), ("x-api-key", "key")];
            for (line, headers, status) in [
                ("POST /generate", &with_key[..], 200),
                ("POST /generate", &with_key[..1], 401),
                ("POST /nothing", &with_key[..], 404),
            ] {
                let answer = service.send(line, headers, br#"{"prompt":"a"}"#).await;
                assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (status, Some(PAGE)));
                assert_eq!(answer.header("vary"), Some("origin"));
            }
        }
    });
}

/// Guarantee D-19.
#[test]
fn without_origins_nothing_of_them_is_said() {
    run(async {
        let service = Service::chat(Version::Http1, "cors-off", ServerOptions::default()).await;
        let answer = service.send("POST /generate", &[("origin", PAGE)], br#"{"prompt":"a"}"#).await;
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, None));
    });
}
