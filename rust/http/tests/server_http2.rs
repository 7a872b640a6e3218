//! HTTP/2 as the server speaks it, with clients that send frames of their own making.
#![cfg(feature = "server")]

mod support;

use std::time::{Duration, Instant};

use pybridge::FlowConfig;
use pybridge_http::ServerOptions;
use support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, PING, POST, PREFACE, RST_STREAM, SETTINGS, frame,
};
use support::raw::Raw;
use support::service::{LONG, SHORT, Service};
use support::tls::Certificate;
use support::{Version, engine, run};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

const ENHANCE_YOUR_CALM: u32 = 11;

async fn connect(service: &Service) -> Raw {
    let mut client = Raw::connect(&service.address).await;
    client.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
    client
}

/// Kind and payload of the next frame; `None`: the connection has ended.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Raw<S>) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    client.stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

/// Why the server ends the connection.
async fn reason(client: &mut Raw) -> Option<u32> {
    while let Some((kind, payload)) = next(client).await {
        if kind == GO_AWAY {
            return Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
        }
    }
    None
}

/// Guarantee D-15.
#[test]
fn a_flood_of_resets_ends_the_connection_and_starts_no_more_calls_than_may_run() {
    run(async {
        let flow = FlowConfig::default().max_concurrency(4).max_queue(0);
        let service = Service::serve(Version::Http2, engine("chat").flow(flow), ServerOptions::default()).await;
        let mut client = connect(&service).await;
        let cancel = 8_u32.to_be_bytes();
        let streams = (0..2000).map(|index| 2 * index + 1);
        let flood = streams.flat_map(|stream| {
            [frame(HEADERS, END_HEADERS | END_STREAM, stream, POST), frame(RST_STREAM, 0, stream, &cancel)].concat()
        });
        // The server may have closed before all of it is sent.
        let flood: Vec<u8> = flood.collect();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &flood).await;
        assert_eq!(reason(&mut client).await, Some(ENHANCE_YOUR_CALM));
        assert!(service.engine.stats().streams.started < 100);
        assert_eq!(service.send("GET /health/live", &[], b"").await.status(), 200, "others are served");
    });
}

/// Guarantee D-15.
#[test]
fn a_head_without_end_ends_the_connection() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default()).await;
        let mut client = connect(&service).await;
        // A literal header of 1,000 bytes, not indexed.
        let header = [b"\x00\x01x\x7f\xe9\x06".as_slice(), &[b'a'; 1000]].concat();
        let mut flood = frame(HEADERS, 0, 1, POST);
        for _ in 0..2000 {
            flood.extend(frame(CONTINUATION, 0, 1, &header));
        }
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &flood).await;
        while next(&mut client).await.is_some() {}
        assert_eq!(service.send("GET /health/live", &[], b"").await.status(), 200, "others are served");
    });
}

#[test]
fn the_limits_of_a_connection_are_told() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default().max_streams(7)).await;
        let mut client = connect(&service).await;
        let (kind, settings) = next(&mut client).await.expect("a frame");
        assert_eq!(kind, SETTINGS);
        let told = |name: u16| {
            let mut entries = settings.chunks(6);
            let entry = entries.find(|entry| entry[..2] == name.to_be_bytes())?;
            Some(u32::from_be_bytes(entry[2..].try_into().expect("four bytes")))
        };
        let (max_streams, window, header_list) = (told(3), told(4), told(6));
        assert_eq!((max_streams, window, header_list), (Some(7), Some(256 << 10), Some(64 << 10)));
    });
}

#[test]
fn an_idle_connection_is_told_when_the_server_closes() {
    run(async {
        let mut service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default()).await;
        let mut client = connect(&service).await;
        while next(&mut client).await.expect("a frame").0 != SETTINGS {}
        service.control().drain();
        assert_eq!(reason(&mut client).await, Some(0), "no error");
        service.server.take().expect("a server").await;
    });
}

/// One that has vanished does not answer either.
/// Guarantee D-16.
#[test]
fn a_client_that_answers_no_ping_is_dropped() {
    run(async {
        let options = ServerOptions::default().write_timeout(Duration::from_millis(300));
        let service = Service::serve(Version::Http2, engine("chat"), options).await;
        let mut client = connect(&service).await;
        let named = [POST, b"\x00\x0cx-request-id\x08vanished"].concat();
        client.send(frame(HEADERS, END_HEADERS, 1, &named)).await;
        client.send(frame(DATA, END_STREAM, 1, br#"{"prompt":"Hello wait!"}"#)).await;
        while next(&mut client).await.is_some() {}
        assert_eq!(service.noted("vanished", 1).await, "cancelled: client");
    });
}

#[test]
fn what_is_no_http2_ends_the_connection() {
    run(async {
        let service = Service::serve(Version::Http2, engine("chat"), ServerOptions::default()).await;
        let long = [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 100]].concat();
        for nonsense in
            [frame(HEADERS, END_HEADERS, 0, POST), frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), long]
        {
            let mut client = connect(&service).await;
            client.send(nonsense).await;
            assert!(reason(&mut client).await.is_some_and(|reason| reason != 0));
        }
        let mut client = Raw::connect(&service.address).await;
        client.send([PREFACE, b"GET / HTTP/1.1\r\n\r\n\r\n\r\n"].concat()).await;
        while next(&mut client).await.is_some() {}
    });
}

/// What clients send of their first head, and leave it at that.
fn begun_heads() -> [Vec<u8>; 6] {
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, POST);
    [
        PREFACE.to_vec(),
        [PREFACE, &[0, 0, 6, SETTINGS]].concat(),
        [&settings[..], &head[..1]].concat(),
        [&settings[..], &head[..head.len() - 1]].concat(),
        [settings.clone(), frame(HEADERS, END_STREAM, 1, POST)].concat(),
        [settings, frame(HEADERS, END_STREAM, 1, POST), frame(CONTINUATION, 0, 1, &[])].concat(),
    ]
}

async fn ends_in_time<S: AsyncRead + AsyncWrite + Unpin>(mut client: Raw<S>, case: &str) {
    let started = Instant::now();
    while next(&mut client).await.is_some() {}
    assert!(started.elapsed() < LONG / 10, "{case}");
}

/// Guarantee D-12.
#[test]
fn a_head_that_does_not_come_on_ends_its_connection_with_tls_and_without() {
    run(async {
        let options = || ServerOptions::default().header_timeout(SHORT).idle_timeout(LONG).write_timeout(LONG);
        let plain = Service::serve(Version::Http2, engine("chat"), options()).await;
        let certificate = Certificate::new();
        let tls = Service::serve(Version::Http2, engine("chat"), options().tls(certificate.server())).await;
        let mut clients = Vec::new();
        for begun in begun_heads() {
            let mut client = Raw::connect(&plain.address).await;
            client.send(&begun).await;
            clients.push(tokio::spawn(async move { ends_in_time(client, &format!("{begun:?}")).await }));
        }
        for begun in begun_heads() {
            for protocols in [&["h2"][..], &[]] {
                let mut client = Raw::of(certificate.stream(&tls.address, protocols).await);
                client.send(&begun).await;
                let case = format!("{protocols:?} {begun:?}");
                clients.push(tokio::spawn(async move { ends_in_time(client, &case).await }));
            }
        }
        for client in clients {
            client.await.expect("it ends");
        }
    });
}

#[test]
fn a_head_that_does_not_come_on_ends_a_connection_on_which_others_are_answered() {
    run(async {
        let options = ServerOptions::default().header_timeout(SHORT).idle_timeout(LONG).write_timeout(LONG);
        let service = Service::serve(Version::Http2, engine("chat"), options).await;
        let mut client = connect(&service).await;
        let named = [POST, b"\x00\x0cx-request-id\x06others"].concat();
        client.send(frame(HEADERS, END_HEADERS, 1, &named)).await;
        client.send(frame(DATA, END_STREAM, 1, br#"{"prompt":"Hello wait!"}"#)).await;
        assert_eq!(service.noted("others", 0).await, "started");
        client.send(frame(HEADERS, END_STREAM, 3, POST)).await;
        ends_in_time(client, "begun").await;
        assert_eq!(service.noted("others", 1).await, "cancelled: client");
    });
}

/// As browsers do, which have a connection before they have a request.
#[test]
fn a_connection_that_is_opened_in_advance_counts_as_idle_with_tls_and_without() {
    run(async {
        let options = || ServerOptions::default().header_timeout(SHORT).idle_timeout(LONG).write_timeout(LONG);
        let certificate = Certificate::new();
        let plain = Service::serve(Version::Http2, engine("chat"), options()).await;
        let tls = Service::serve(Version::Http2, engine("chat"), options().tls(certificate.server())).await;
        let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x04\x0c/health/live\x01\x09localhost");
        let mut first = Raw::connect(&plain.address).await;
        let mut second = Raw::of(certificate.stream(&tls.address, &["h2"]).await);
        let mut third = Raw::of(certificate.stream(&tls.address, &[]).await);
        first.send(&settings).await;
        second.send(&settings).await;
        third.send(&settings).await;
        // One that came later and sends nothing has ended: the time of a head is over for all.
        assert_eq!(Raw::connect(&plain.address).await.rest().await, "");
        first.send(&request).await;
        second.send(&request).await;
        third.send(&request).await;
        let answered = [answers(first).await, answers(second).await, answers(third).await];
        assert_eq!(answered, [true; 3]);
    });
}

async fn answers<S: AsyncRead + AsyncWrite + Unpin>(mut client: Raw<S>) -> bool {
    while let Some((kind, _)) = next(&mut client).await {
        if kind == HEADERS {
            return true;
        }
    }
    false
}

/// Old clients lose an answer whose stream is reset while they send.
#[test]
fn a_refusal_ends_after_the_body_that_it_does_not_need() {
    run(async {
        let options = ServerOptions::default().api_keys(["key"]).write_timeout(LONG);
        let service = Service::serve(Version::Http2, engine("chat"), options).await;
        let mut client = connect(&service).await;
        client.send(frame(HEADERS, END_HEADERS, 1, POST)).await;
        while next(&mut client).await.expect("a frame").0 != DATA {}
        for _ in 0..15 {
            client.send(frame(DATA, 0, 1, &[b'x'; 4 << 10])).await;
        }
        client.send(frame(DATA, END_STREAM, 1, &[])).await;
        let mut last = Vec::new();
        while let Some(frame) = next(&mut client).await {
            match frame.0 {
                DATA => {
                    last = frame.1;
                    break;
                }
                RST_STREAM => panic!("the stream is reset"),
                _ => {}
            }
        }
        assert_eq!(last, b"", "the end of the answer");
        // What comes behind it shows that nothing else did.
        client.send(frame(PING, 0, 0, b"12345678")).await;
        while let Some((kind, _)) = next(&mut client).await {
            assert_ne!(kind, RST_STREAM);
            if kind == PING {
                return;
            }
        }
        panic!("the connection has ended");
    });
}
