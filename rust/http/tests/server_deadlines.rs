//! Clients that are slow, silent or too many. Where a deadline must pass it is short, and all others are long.
#![cfg(feature = "server")]

mod support;

use std::time::{Duration, Instant};

use http::Request;
use pybridge_http::{ProtocolOptions, ServerOptions};
use support::raw::{Raw, chat, get, status};
use support::service::{SHORT, Service, patient};
use support::tls::Certificate;
use support::{Version, engine, run};
use tokio::net::TcpStream;

/// One that good clients must keep on a loaded machine, and that is to pass as well.
const FAIR: Duration = Duration::from_secs(1);

async fn service(options: ServerOptions) -> Service {
    Service::serve(Version::Http1, engine("chat"), options).await
}

/// Guarantee D-12.
#[test]
fn a_first_head_must_come_in_time_from_accept_on() {
    run(async {
        let service = service(patient().header_timeout(SHORT)).await;
        let started = Instant::now();
        let silent = Raw::connect(&service.address).await;
        let mut part = Raw::connect(&service.address).await;
        part.send("POST /generate HTTP/1.1\r\nhost").await;
        let mut preface = Raw::connect(&service.address).await;
        preface.send("PRI * HTTP/2.0\r\n\r\nSM").await;
        let mut trickle = Raw::connect(&service.address).await;
        trickle.send("G").await;
        for client in [silent, part, preface, trickle] {
            assert_eq!(client.rest().await, "");
        }
        assert!(started.elapsed() >= SHORT);
    });
}

/// Guarantee D-12.
#[test]
fn a_head_that_comes_byte_by_byte_has_no_more_time() {
    run(async {
        let service = service(patient().header_timeout(SHORT)).await;
        let mut client = Raw::connect(&service.address).await;
        let (mut reader, mut writer) = client.stream.split();
        let trickle = async {
            use tokio::io::AsyncWriteExt;
            let mut tick = tokio::time::interval(SHORT / 20);
            loop {
                tick.tick().await;
                if writer.write_all(b"a").await.is_err() {
                    return;
                }
            }
        };
        let ends = async {
            use tokio::io::AsyncReadExt;
            let mut all = Vec::new();
            let _ = reader.read_to_end(&mut all).await;
        };
        tokio::select! {
            () = trickle => {}
            () = ends => {}
        }
    });
}

#[test]
fn a_handshake_must_end_in_time() {
    run(async {
        let certificate = Certificate::new();
        let service = service(patient().header_timeout(SHORT).tls(certificate.server())).await;
        let silent = Raw::connect(&service.address).await;
        let mut part = Raw::connect(&service.address).await;
        part.send([0x16, 0x03, 0x01]).await;
        assert_eq!(silent.rest().await, "");
        assert_eq!(part.rest().await, "");
        let without_request = certificate.raw(&service.address).await;
        assert_eq!(without_request.rest().await, "");
    });
}

/// Guarantee D-12.
#[test]
fn between_requests_a_connection_stays_for_the_idle_time() {
    run(async {
        let service = service(patient().header_timeout(SHORT).idle_timeout(SHORT * 3)).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200);
        let idle_since = Instant::now();
        assert!(client.ended().await >= SHORT, "the time of a head does not count before its first byte");
        assert!(idle_since.elapsed() >= SHORT * 2);
        // A head that has begun.
        let mut client = Raw::connect(&service.address).await;
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200);
        client.send("GET /hea").await;
        assert!(client.ended().await < SHORT * 3);
    });
}

/// It may come with the request before it.
#[test]
fn a_head_behind_a_request_must_come_in_time() {
    run(async {
        let service = service(patient().header_timeout(SHORT)).await;
        let call = chat("first", "Hello");
        let chunked = "POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunked = format!("{chunked}12\r\n{{\"prompt\":\"Hello\"}}\r\n0\r\n\r\n");
        for requests in [get("/health/live"), call.clone(), chunked, format!("{}{call}{call}", get("/health/live"))] {
            let count = requests.matches(" HTTP/1.1\r\n").count();
            let mut client = Raw::connect(&service.address).await;
            client.send(format!("{requests}GET / HT")).await;
            for _ in 0..count {
                assert_eq!(client.answer().await.0, 200, "{requests}");
            }
            assert_eq!(client.rest().await, "", "{requests}");
        }
    });
}

#[test]
fn after_every_kind_of_request_a_connection_stays_for_the_idle_time() {
    run(async {
        let service = service(patient().header_timeout(SHORT)).await;
        let mut clients = Vec::new();
        let chunked = "POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunked = format!("{chunked}12\r\n{{\"prompt\":\"Hello\"}}\r\n0\r\na: b\r\n\r\n");
        let empty = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n\r\n\r\n".to_owned();
        for request in [get("/health/live"), chat("call", "Hello"), chunked, empty] {
            let mut client = Raw::connect(&service.address).await;
            client.send(&request).await;
            client.answer().await;
            clients.push((client, request));
        }
        let silent = Raw::connect(&service.address).await;
        assert_eq!(silent.rest().await, "", "the time for a head is over");
        tokio::time::sleep(SHORT / 3).await;
        for (client, request) in &mut clients {
            client.send(get("/health/live")).await;
            assert_eq!(client.answer().await.0, 200, "{request}");
        }
    });
}

#[test]
fn an_answer_may_take_longer_than_any_deadline_of_clients() {
    run(async {
        let short = patient().header_timeout(FAIR).idle_timeout(FAIR).write_timeout(FAIR);
        for version in [Version::Http1, Version::Http2] {
            let service = Service::serve(version, engine("chat"), short.clone()).await;
            let (text, whole) = service
                .ask("application/x-ndjson", "slow", &format!("Hello {} world", "pause! ".repeat(26)))
                .await
                .text()
                .await;
            assert!(whole && text.contains("world"), "{version:?} {text}");
        }
    });
}

#[test]
fn an_idle_connection_of_http2_closes() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), patient().idle_timeout(SHORT)).await;
        let stream = TcpStream::connect(&service.address).await.expect("it listens");
        let (mut sender, connection) = h2::client::handshake(stream).await.expect("it speaks");
        let ended = tokio::spawn(connection);
        let page = Request::get("http://localhost/health/live").body(()).expect("a request");
        let (answer, _) = sender.send_request(page, true).expect("room");
        assert_eq!(answer.await.expect("an answer").status(), 200);
        let _ = ended.await.expect("no panic");
    });
}

/// Guarantee D-12.
#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    run(async {
        let service = service(patient().body_timeout(SHORT)).await;
        for body in ["", "{\"prompt\""] {
            let mut client = Raw::connect(&service.address).await;
            client
                .send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{body}"))
                .await;
            let (status, head, body) = client.answer().await;
            assert_eq!((status, support::raw::header(&head, "connection")), (408, Some("close")));
            assert!(body.contains(r#""code":"request_timeout""#), "{body}");
            assert_eq!(client.rest().await, "");
        }
        let mut client = Raw::connect(&service.address).await;
        client.send("POST /generate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n").await;
        assert_eq!(client.answer().await.0, 408);
    });
}

#[test]
fn a_body_that_keeps_its_pace_may_take_longer() {
    run(async {
        let service = service(patient().body_timeout(FAIR)).await;
        let mut client = Raw::connect(&service.address).await;
        let body = format!(r#"{{"prompt":"Hello","more":"{}"}}"#, "x".repeat(40 << 10));
        client
            .send(format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len()))
            .await;
        let mut tick = tokio::time::interval(FAIR / 8);
        for piece in body.as_bytes().chunks(4 << 10) {
            tick.tick().await;
            client.send(piece).await;
        }
        assert_eq!(status(&client.head().await), 200);
    });
}

/// An address from where the server at `address` is reached, by a link that takes 1 KiB every 40 ms towards it.
async fn slow_link(address: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
    let link = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (near, server) = (link.local_addr().expect("bound").to_string(), address.to_owned());
    tokio::spawn(async move {
        let (mut client, _) = link.accept().await.expect("a client");
        let mut server = TcpStream::connect(server).await.expect("it listens");
        let ((mut sent, mut answered), (mut answers, mut requests)) = (client.split(), server.split());
        let forward = async {
            let mut piece = [0; 1 << 10];
            let mut tick = tokio::time::interval(Duration::from_millis(40));
            while let Ok(length @ 1..) = sent.read(&mut piece).await {
                tick.tick().await;
                requests.write_all(&piece[..length]).await.expect("it reads");
            }
        };
        let _ = tokio::join!(forward, copy(&mut answers, &mut answered));
    });
    near
}

/// What HTTP/2 and TLS hand on at once is longer than the link takes in the time for a piece of a body.
#[test]
fn a_body_whose_bytes_come_all_the_time_keeps_its_pace() {
    run(async {
        let certificate = Certificate::new();
        let options = patient().body_timeout(FAIR / 2);
        let body = format!(r#"{{"prompt":"Hello","more":"{}"}}"#, "x".repeat(20 << 10));
        let plain = async {
            let service = service(options.clone()).await;
            let stream = TcpStream::connect(slow_link(&service.address).await).await.expect("it listens");
            let (mut sender, connection) = h2::client::handshake(stream).await.expect("it speaks");
            tokio::spawn(connection);
            let request = Request::post("http://localhost/generate").body(()).expect("a request");
            let (answer, mut sent) = sender.send_request(request, false).expect("room");
            sent.send_data(body.clone().into(), true).expect("room");
            assert_eq!(answer.await.expect("an answer").status(), 200);
        };
        let tls = async {
            let service = service(options.clone().tls(certificate.server())).await;
            let mut client = certificate.raw(&slow_link(&service.address).await).await;
            let length = body.len();
            let head = format!("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
            client.send(head + &body).await;
            assert_eq!(status(&client.head().await), 200);
        };
        tokio::join!(plain, tls);
    });
}

#[test]
fn a_body_of_which_nothing_comes_is_given_up_on_a_busy_connection_too() {
    run(async {
        let service = service(patient().body_timeout(SHORT / 6)).await;
        let stream = TcpStream::connect(&service.address).await.expect("it listens");
        let (mut sender, connection) = h2::client::handshake(stream).await.expect("it speaks");
        tokio::spawn(connection);
        let mut ask = || {
            let request = Request::post("http://localhost/generate").body(()).expect("a request");
            sender.send_request(request, false).expect("room")
        };
        let (busy, mut sent) = ask();
        let (stalled, _unsent) = ask();
        let fill = async {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                sent.send_data(vec![b' '; 8 << 10].into(), false).expect("the stream is open");
            }
        };
        tokio::select! {
            answer = stalled => assert_eq!(answer.expect("an answer").status(), 408),
            () = fill => {}
            _ = busy => panic!("its body goes on"),
        }
    });
}

/// Guarantee D-12.
#[test]
fn a_client_that_takes_nothing_is_dropped() {
    run(async {
        let service = service(patient().write_timeout(SHORT)).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(chat("stalled", &format!("{} wait!", "megabyte! ".repeat(40)))).await;
        client.head().await;
        service.noted("stalled", 1).await;
        // One that reads gets everything.
        let answer = service.ask("application/x-ndjson", "reading", &"megabyte! ".repeat(40)).await;
        let (bytes, whole) = answer.bytes().await;
        assert!(whole && bytes.len() > 40 << 20);
    });
}

/// The rest of the connection goes on.
#[test]
fn a_stream_that_gets_no_room_ends_alone() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), patient().write_timeout(SHORT)).await;
        let stream = TcpStream::connect(&service.address).await.expect("it listens");
        // Room for both, each of which has 64 KiB.
        let mut builder = h2::client::Builder::new();
        let handshake = builder.initial_connection_window_size(1 << 20).handshake::<_, bytes::Bytes>(stream);
        let (mut sender, connection) = handshake.await.expect("it speaks");
        tokio::spawn(connection);
        let mut ask = |id: &str, prompt: &str| {
            let request = Request::post("http://localhost/generate").header("x-request-id", id);
            let (answer, mut body) = sender.send_request(request.body(()).expect("a request"), false).expect("room");
            body.send_data(format!(r#"{{"prompt":"{prompt}"}}"#).into(), true).expect("room");
            answer
        };
        let stalled = ask("no-room", &format!("{} wait!", "quarter! ".repeat(20))).await.expect("an answer");
        let mut flowing = ask("room", "Hello pause! wait!").await.expect("an answer");
        flowing.body_mut().data().await.expect("an item").expect("an item");
        service.noted("no-room", 1).await;
        let later = ask("later", "Hello").await.expect("the connection goes on");
        assert_eq!(later.status(), 200);
        drop((stalled, flowing));
        assert_eq!(service.noted("room", 1).await, "cancelled: client");
    });
}

/// Guarantee D-17.
#[test]
fn above_the_most_connections_clients_wait_to_be_accepted() {
    run(async {
        let service = service(patient().max_connections(2)).await;
        let mut first = Raw::connect(&service.address).await;
        first.send(get("/health/live")).await;
        assert_eq!(first.answer().await.0, 200);
        let second = Raw::connect(&service.address).await;
        let mut third = Raw::connect(&service.address).await;
        third.send(get("/health/live")).await;
        first.send(get("/health/ready")).await;
        assert_eq!(first.answer().await.0, 200, "those that are there are served");
        drop(second);
        assert_eq!(third.answer().await.0, 200, "a place is free");
    });
}

/// Guarantee D-13.
#[test]
fn bad_clients_are_gone_by_their_deadlines_and_good_ones_are_served() {
    run(async {
        let options = patient().header_timeout(FAIR).body_timeout(FAIR).write_timeout(FAIR);
        let service = service(options).await;
        let mut bad = Vec::new();
        for index in 0..60 {
            let mut client = Raw::connect(&service.address).await;
            match index % 3 {
                0 => {}
                1 => client.send("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{").await,
                _ => client.send(chat(&format!("bad-{index}"), &"megabyte! ".repeat(20))).await,
            }
            bad.push(client);
        }
        for index in 0..20 {
            let answer = service.ask("application/x-ndjson", &format!("good-{index}"), "Hello").await;
            assert_eq!(answer.text().await, ("{\"text\":\"Hello\"}\n".to_owned(), true));
        }
        for (index, client) in bad.into_iter().enumerate() {
            match index % 3 {
                0 => assert_eq!(client.rest().await, ""),
                1 => assert_eq!(status(&client.rest().await), 408),
                _ => {
                    service.noted(&format!("bad-{index}"), 1).await;
                }
            }
        }
        while service.engine.live() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// Guarantee D-13.
#[test]
fn an_announced_length_takes_no_memory() {
    run(async {
        let options = patient().protocol(ProtocolOptions::default().max_body(1 << 30));
        let service = service(options).await;
        let before = service.engine.stats().pool.live_bytes;
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut client = Raw::connect(&service.address).await;
            client
                .send("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n{\"prompt\":")
                .await;
            clients.push(client);
        }
        while service.engine.stats().pool.live_bytes == before {
            tokio::task::yield_now().await;
        }
        assert!(service.engine.stats().pool.live_bytes - before < 8 << 20);
        drop(clients);
        while service.engine.stats().pool.live_bytes > before {
            tokio::task::yield_now().await;
        }
    });
}
