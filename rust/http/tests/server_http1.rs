//! HTTP/1.1 as the server speaks it: messages that are none, bodies that are not wanted, connections that stay.
#![cfg(feature = "server")]

mod support;

use pybridge_http::{ProtocolOptions, ServerOptions, metrics_text};
use support::raw::{Raw, chat, get, header, status};
use support::service::Service;
use support::{Version, engine, run};
use tokio::io::AsyncWriteExt;

async fn service(protocol: ProtocolOptions) -> Service {
    let options = ServerOptions::default().protocol(protocol.health(true));
    Service::serve(Version::Http1, engine("chat"), options).await
}

/// A message whose end a proxy may see elsewhere than the server: the server refuses it, or says that nothing follows. `GET
/// /smuggled` is what it would take for a request then.
/// Guarantee D-14.
#[test]
fn a_message_whose_length_is_not_clear_carries_no_other() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let refused = [
            "content-length: 6\r\ncontent-length: 7\r\n\r\n{}\r\n\r\n",
            "content-length: 2, 3\r\n\r\n{}",
            "content-length: +2\r\n\r\n{}",
            "content-length: -1\r\n\r\n{}",
            "content-length: 0x2\r\n\r\n{}",
            "content-length: 2 2\r\n\r\n{}",
            "content-length: 99999999999999999999999\r\n\r\n{}",
            "transfer-encoding: identity\r\n\r\n{}",
            "transfer-encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "transfer-encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "transfer-encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "content-length : 2\r\n\r\n{}",
            "x: a\r\n content-length: 2\r\n\r\n{}",
            "x: a\r\n\tb\r\ncontent-length: 2\r\n\r\n{}",
            "x: a\rb\r\ncontent-length: 2\r\n\r\n{}",
            "x: a\0b\r\ncontent-length: 2\r\n\r\n{}",
            "no colon\r\ncontent-length: 2\r\n\r\n{}",
        ];
        for rest in refused {
            let mut client = Raw::connect(&service.address).await;
            client.send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\n{rest}{smuggled}")).await;
            let answers = client.rest().await;
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{rest:?} {answers}");
            assert_eq!(status(&answers), 400, "{rest:?} {answers}");
        }
    });
}

#[test]
fn a_connection_stays_after_a_body_in_chunks_that_was_read_to_its_end() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        let body = "transfer-encoding: chunked\r\n\r\n1\r\n{\r\nd\r\n\"prompt\":\"a\"}\r\n0\r\n\r\n";
        for last in ["", "connection: close\r\n"] {
            client.send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\n{last}{body}")).await;
        }
        let answers = client.rest().await;
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
    });
}

/// Guarantee D-14.
#[test]
fn a_body_in_chunks_that_are_none_is_refused_and_ends_the_connection() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat").name("chunks"), ServerOptions::default()).await;
        let smuggled = get("/smuggled");
        let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20 << 10));
        let chunks = [
            "2\n{}\r\n0\r\n\r\n",
            "2\r\n{}0\r\n\r\n",
            "2\r\n{}\n0\r\n\r\n",
            "-2\r\n{}\r\n0\r\n\r\n",
            "0x2\r\n{}\r\n0\r\n\r\n",
            "g\r\n{}\r\n0\r\n\r\n",
            "\r\n{}\r\n0\r\n\r\n",
            "10000000000000002\r\n{}\r\n0\r\n\r\n",
            "2;\n\r\n{}\r\n0\r\n\r\n",
            "2\r\n{}\r\n0\r\nno colon\r\n\r\n",
            &long,
        ];
        for chunk in chunks {
            let head = "POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut client = Raw::connect(&service.address).await;
            client.send(format!("{head}{chunk}{smuggled}")).await;
            let answers = client.rest().await;
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{chunk:?} {answers}");
            assert_eq!((status(&answers), header(&answers, "connection")), (400, Some("close")), "{chunk:?} {answers}");
            assert!(answers.contains(r#""code":"malformed_request""#), "{chunk:?} {answers}");
        }
        let counted =
            format!("http_requests_total{{method=\"POST\",status=\"400\",handler=\"chunks\"}} {}\n", chunks.len());
        assert!(metrics_text().contains(&counted), "{}", metrics_text());
    });
}

/// As RFC 9112 asks for: the length counts for nothing, and nothing that follows is taken for a request.
/// Guarantee D-14.
#[test]
fn a_message_with_both_lengths_is_the_last_of_its_connection() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        for lengths in
            ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
        {
            let smuggled = get("/smuggled");
            let mut client = Raw::connect(&service.address).await;
            let body = "2\r\n{}\r\n0\r\n\r\n";
            client
                .send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n\r\n{body}{smuggled}"))
                .await;
            let answers = client.rest().await;
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{lengths} {answers}");
            assert!(!answers.contains("404"), "{lengths} {answers}");
        }
    });
}

/// RFC 9112, section 3.2
#[test]
fn a_request_says_once_whom_it_is_for() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let answer = async |head: &str| {
            let mut client = Raw::connect(&service.address).await;
            client.send(format!("{head}connection: close\r\n\r\n")).await;
            client.rest().await
        };
        for hosts in [
            "",
            "host: a\r\nhost: a\r\n",
            "host: a\r\nhost: b\r\n",
            "host: a b\r\n",
            "host: user@a\r\n",
            "host: a:b\r\n",
        ] {
            for line in ["GET /health/live", "GET http://a/health/live", "POST /generate"] {
                let answer = answer(&format!("{line} HTTP/1.1\r\n{hosts}")).await;
                assert_eq!(status(&answer), 400, "{line} {hosts:?}");
                assert!(answer.contains(r#""code":"malformed_request","param":"host""#), "{answer}");
            }
        }
        for head in
            ["HTTP/1.1\r\nhost: a\r\n", "HTTP/1.1\r\nhost: [::1]:80\r\n", "HTTP/1.1\r\nhost:\r\n", "HTTP/1.0\r\n"]
        {
            assert_eq!(status(&answer(&format!("GET /health/live {head}")).await), 200, "{head:?}");
        }
    });
}

/// RFC 9112, section 6.1
/// Guarantee D-14.
#[test]
fn a_coding_that_is_not_understood_is_refused_and_ends_the_connection() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let table = [
            ("gzip, chunked", 501),
            ("gzip\r\ntransfer-encoding: chunked", 501),
            ("identity, chunked", 501),
            ("chunked, chunked", 400),
            ("chunked\r\ntransfer-encoding: chunked", 400),
            ("chunked, gzip, chunked", 400),
            ("gzip", 400),
            ("chunked;q=1", 400),
            ("", 400),
        ];
        for (coding, expected) in table {
            let mut client = Raw::connect(&service.address).await;
            let head = format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {coding}\r\n\r\n");
            client.send(head + "2\r\n{}\r\n0\r\n\r\n" + &get("/smuggled")).await;
            let answers = client.rest().await;
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{coding} {answers}");
            assert_eq!(
                (status(&answers), header(&answers, "connection")),
                (expected, Some("close")),
                "{coding} {answers}"
            );
        }
        for coding in ["chunked", " CHUNKED "] {
            let mut client = Raw::connect(&service.address).await;
            let head = format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {coding}\r\n\r\n");
            client.send(head + "12\r\n{\"prompt\":\"Hello\"}\r\n0\r\n\r\n").await;
            assert_eq!(client.answer().await.0, 200, "{coding}");
        }
    });
}

#[test]
fn a_line_that_is_no_request_is_refused() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        for line in [
            "GET",
            "GET /",
            "GET / HTTP/3.0",
            "G@T / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "\u{16}\u{3}\u{1}",
        ] {
            let mut client = Raw::connect(&service.address).await;
            client.send(format!("{line}\r\n\r\n")).await;
            assert_eq!(status(&client.rest().await), 400, "{line:?}");
        }
    });
}

#[test]
fn heads_are_bounded() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let long = "x".repeat(70 << 10);
        let many = "x: y\r\n".repeat(200);
        let table = [
            (format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"), 431),
            (format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), 431),
            (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 431),
        ];
        for (request, expected) in table {
            let mut client = Raw::connect(&service.address).await;
            client.send(&request).await;
            assert_eq!(status(&client.rest().await), expected, "{}", &request[..30]);
        }
        let mut client = Raw::connect(&service.address).await;
        client
            .send(format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(30 << 10)))
            .await;
        assert_eq!(client.answer().await.0, 200);
    });
}

#[test]
fn a_client_may_ask_before_it_sends_its_body() {
    run(async {
        let service = service(ProtocolOptions::default().max_body(100)).await;
        let mut client = Raw::connect(&service.address).await;
        let request = chat("expect", "Hello");
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        client.send(format!("{head}\r\nexpect: 100-continue\r\n\r\n")).await;
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send(body).await;
        assert_eq!(status(&client.head().await), 200);
        // What is refused by its head is not asked for.
        let mut client = Raw::connect(&service.address).await;
        client
            .send("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 101\r\nexpect: 100-continue\r\n\r\n")
            .await;
        assert_eq!(status(&client.head().await), 413);
    });
}

#[test]
fn a_connection_stays_for_the_next_request() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        for _ in 0..3 {
            client.send(chat("stays", "Hello pause! world")).await;
            let head = client.head().await;
            assert_eq!((status(&head), header(&head, "connection")), (200, None));
            assert!(header(&head, "date").is_some());
            client.until("\r\n0\r\n\r\n").await;
        }
        // Several at once are answered in turn.
        client.send(get("/health/live") + &get("/none") + &get("/health/ready")).await;
        assert_eq!((client.answer().await.0, client.answer().await.0, client.answer().await.0), (200, 404, 200));
        // A small body that no one wants is skipped.
        client.send("POST /none HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello").await;
        assert_eq!(client.answer().await.0, 404);
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200);
        client.send("GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(client.rest().await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn clients_of_http_1_0_are_answered_to_the_end_of_the_connection() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(chat("old", "Hello pause! world").replace("HTTP/1.1", "HTTP/1.0")).await;
        let answer = client.rest().await;
        assert_eq!(status(&answer), 200);
        assert!(answer.ends_with("data: {\"text\":\"world\"}\n\n"), "{answer}");
    });
}

#[test]
fn a_client_that_goes_on_sending_what_is_refused_gets_the_answer() {
    run(async {
        let service = service(ProtocolOptions::default().max_body(1000)).await;
        let body = "x".repeat(300 << 10);
        let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let table = [
            ("/generate", format!("content-length: {}\r\n\r\n{body}", body.len()), 413),
            ("/generate", chunked.clone(), 413),
            ("/none", chunked, 404),
        ];
        for (path, rest, expected) in table {
            let mut client = Raw::connect(&service.address).await;
            let request = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{rest}");
            let (begun, rest) = request.split_at(request.len() / 2);
            client.send(begun).await;
            let (status, head, _) = client.answer().await;
            assert_eq!((status, header(&head, "connection")), (expected, Some("close")));
            // No reset comes in between, which would take the answer from a client that has not read it.
            for piece in rest.as_bytes().chunks(10 << 10) {
                client.send(piece).await;
            }
            client.stream.shutdown().await.expect("it is open");
            assert_eq!(client.rest().await, "");
        }
    });
}

#[test]
fn a_body_in_pieces_arrives_whole() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        let words = "word ".repeat(20_000);
        let body = format!(r#"{{"prompt":"Hello","more":"{words}"}}"#);
        let mut client = Raw::connect(&service.address).await;
        client.send("POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for piece in body.as_bytes().chunks(1000) {
            client.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
        }
        client.send("0\r\n\r\n").await;
        client.until("{\"text\":\"Hello\"}\n").await;
    });
}

/// Guarantee W-18.
#[test]
fn a_body_that_breaks_off_is_no_call() {
    run(async {
        let service = service(ProtocolOptions::default()).await;
        for request in [
            "POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"prompt\":\"Hello\"}",
            "POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n12\r\n{\"prompt\":\"Hello\"}\r\n",
        ] {
            let mut client = Raw::connect(&service.address).await;
            client.send(request).await;
            client.stream.shutdown().await.expect("it is open");
            let rest = client.rest().await;
            assert!(!rest.contains(" 200 "), "{rest}");
        }
        assert_eq!(service.engine.stats().streams.started, 0);
    });
}

#[test]
fn head_is_answered_as_get_without_a_body() {
    run(async {
        for version in [Version::Http1, Version::Http2] {
            let options = ServerOptions::default();
            let service = Service::serve(version, engine("chat"), options).await;
            let got = service.send("GET /health/live", &[], b"").await;
            let length = got.header("content-length").expect("a length").to_owned();
            let head = service.send("HEAD /health/live", &[], b"").await;
            assert_eq!((head.status(), head.header("content-length")), (200, Some(&*length)), "{version:?}");
            assert_eq!(head.text().await, (String::new(), true), "{version:?}");
        }
    });
}

/// What is there leaves at once and in one piece, and so does what is large.
#[test]
fn items_arrive_whole_whatever_their_size() {
    run(async {
        for version in [Version::Http1, Version::Http2] {
            let service = Service::serve(version, engine("chat"), ServerOptions::default()).await;
            let prompt = "a quarter! b megabyte! c quarter! quarter! megabyte! d";
            let answer = service.ask("application/x-ndjson", "sizes", prompt).await;
            let (text, whole) = answer.text().await;
            let lengths: Vec<_> = text.lines().map(str::len).collect();
            let (small, quarter, mega) = (12, (1 << 18) + 11, (1 << 20) + 11);
            let expected = [small, quarter, small, mega, small, quarter, quarter, mega, small];
            assert!(whole);
            assert_eq!(lengths, expected, "{version:?}");
        }
    });
}
