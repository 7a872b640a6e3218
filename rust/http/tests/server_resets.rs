//! The ends of connections whose clients do not take what was sent. None of these clients reads before the end is there.
#![cfg(feature = "server")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use pybridge_http::{Listener, ServerOptions, serve};
use support::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, POST, PREFACE, SETTINGS, WINDOW_UPDATE, frame};
use support::raw::{Raw, chat};
use support::service::{SHORT, Service, patient};
use support::tls::Certificate;
use support::{Version, engine, run};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Far above what an end takes to be told.
const PATIENCE: Duration = Duration::from_secs(10);

async fn service(options: ServerOptions) -> Service {
    Service::serve(Version::Http1, engine("chat"), options).await
}

/// A connection whose kernel takes as little as it can of what is not read.
async fn narrow(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(1).expect("the least");
    socket.connect(address.parse().expect("an address")).await.expect("it listens")
}

/// Waits until the kernel knows of the connection's end, and says that it is a reset: the end of a stream would come behind bytes that
/// are not read.
async fn is_reset(client: &TcpStream, id: &str) {
    let ended = timeout(PATIENCE, client.ready(Interest::ERROR)).await;
    ended.unwrap_or_else(|_| panic!("{id} is not told")).expect("it is watched");
    let error = client.take_error().expect("it is a socket").expect("an end with an error");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Endless for whoever does not read.
fn long(id: &str) -> String {
    chat(id, &"megabyte! ".repeat(20))
}

/// A few KiB: more than a narrow client's kernel takes, and less than the server's.
fn short(id: &str, end: &str) -> String {
    chat(id, &format!("{} {end}", ["x"; 50].map(|x| x.repeat(40)).join(" ")))
}

/// A request over HTTP/2, with room for all of the answer.
fn stream(id: &str, body: &str) -> Vec<u8> {
    let length = u8::try_from(id.len()).expect("a short name");
    let named = [POST, b"\x00\x0cx-request-id", &[length], id.as_bytes()].concat();
    let room = u32::to_be_bytes(1 << 30);
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &[&[0, 4][..], &room].concat()),
        frame(WINDOW_UPDATE, 0, 0, &room),
        frame(HEADERS, END_HEADERS, 1, &named),
        frame(DATA, END_STREAM, 1, body.as_bytes()),
    ]
    .concat()
}

/// Guarantee D-12.
#[test]
fn a_client_that_takes_nothing_is_reset_by_its_deadline() {
    run(async {
        let service = service(patient().write_timeout(SHORT)).await;
        let mut http1 = narrow(&service.address).await;
        http1.write_all(long("http1").as_bytes()).await.expect("it takes bytes");
        let mut http2 = narrow(&service.address).await;
        http2
            .write_all(&stream("http2", r#"{"prompt":"megabyte! megabyte! megabyte! megabyte!"}"#))
            .await
            .expect("it takes bytes");
        is_reset(&http1, "http1").await;
        is_reset(&http2, "http2").await;
        service.noted("http1", 1).await;
        service.noted("http2", 1).await;
    });
}

/// Guarantee D-12.
#[test]
fn a_client_that_takes_nothing_over_tls_is_reset_by_its_deadline() {
    run(async {
        let certificate = Certificate::new();
        let service = service(patient().write_timeout(SHORT).tls(certificate.server())).await;
        let mut client = certificate.raw(&service.address).await;
        client.send(long("tls")).await;
        is_reset(client.stream.get_ref().0, "tls").await;
        service.noted("tls", 1).await;
    });
}

/// The kernel's own deadline ends a connection without a word.
#[test]
fn the_deadline_of_the_server_comes_before_that_of_the_kernel() {
    run(async {
        let service = service(patient().write_timeout(Duration::from_secs(2))).await;
        let mut client = narrow(&service.address).await;
        client.write_all(long("kernel").as_bytes()).await.expect("it takes bytes");
        is_reset(&client, "kernel").await;
    });
}

/// Megabytes for each of many such clients would be all the memory that the kernel has for connections.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_gets_little_of_what_a_client_does_not_take() {
    run(async {
        let engine = engine("chat").await.expect("it is there");
        // The usual buffers.
        let listener = Listener::bind("127.0.0.1", 0).expect("a port");
        let address = listener.url(false).replace("http://", "");
        let _server = serve(engine.clone(), [listener], patient().write_timeout(SHORT)).expect("it serves");
        let mut client = narrow(&address).await;
        client.write_all(chat("usual", &"quarter! ".repeat(80)).as_bytes()).await.expect("it takes bytes");
        is_reset(&client, "usual").await;
        let made = engine.stats().frames;
        assert!(made < 10, "{made} items");
    });
}

#[test]
fn a_client_that_takes_nothing_is_reset_when_the_server_cannot_wait_for_it() {
    run(async {
        for id in ["drains", "stops"] {
            let mut service = service(patient().drain_timeout(Duration::ZERO)).await;
            let mut client = narrow(&service.address).await;
            client.write_all(long(id).as_bytes()).await.expect("it takes bytes");
            client.readable().await.expect("the answer begins");
            let control = service.control();
            if id == "drains" {
                control.drain();
            } else {
                control.stop();
            }
            service.server.take().expect("a server").await;
            is_reset(&client, id).await;
        }
    });
}

/// All of it has left the server, and waits in the kernel.
#[test]
fn a_client_in_the_middle_of_an_answer_is_reset_with_an_abandoned_server() {
    run(async {
        let mut service = service(patient()).await;
        let mut client = narrow(&service.address).await;
        client.write_all(short("abandoned", "wait!").as_bytes()).await.expect("it takes bytes");
        while service.engine.stats().frames < 50 {
            tokio::task::yield_now().await;
        }
        client.readable().await.expect("the answer begins");
        service.control().abandon();
        service.control().stop();
        service.server.take().expect("a server").await;
        is_reset(&client, "abandoned").await;
    });
}

/// The server waits no longer for the end of the connection, but what it has sent is to arrive.
#[test]
fn a_client_that_has_not_read_yet_gets_all_of_a_whole_answer_when_the_server_ends() {
    run(async {
        let mut service = service(patient()).await;
        let mut client = narrow(&service.address).await;
        let text = short("whole", "");
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        client.write_all(&stream("whole", body)).await.expect("it takes bytes");
        assert_eq!(service.noted("whole", 1).await, "finished");
        while service.engine.live() > 0 {
            tokio::task::yield_now().await;
        }
        service.control().drain();
        service.server.take().expect("a server").await;
        let rest = Raw::of(client).rest().await;
        assert_eq!(rest.matches(&"x".repeat(40)).count(), 50, "{rest}");
    });
}

/// It is not the client that was late.
#[test]
fn a_client_that_has_not_read_yet_gets_all_of_an_answer_that_breaks_off() {
    run(async {
        let service = service(patient()).await;
        let mut client = narrow(&service.address).await;
        client.write_all(short("breaks", "raise!").as_bytes()).await.expect("it takes bytes");
        service.noted("breaks", 1).await;
        while service.engine.live() > 0 {
            tokio::task::yield_now().await;
        }
        let rest = Raw::of(client).rest().await;
        assert!(rest.contains("event: error") && !rest.ends_with("0\r\n\r\n"), "{rest}");
    });
}
