//! A server from its start to its end: draining, stopping, and its sockets.
#![cfg(feature = "server")]

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pybridge::Drained;
use pybridge_http::{Listener, ProtocolOptions, Server, ServerError, ServerOptions, serve};
use support::raw::{Raw, chat, get, header, status};
use support::service::Service;
use support::{Version, engine, run};
use tokio::net::TcpStream;

const EVENTS: &str = "text/event-stream";

fn counts(drained: Drained) -> (usize, usize) {
    (drained.finished, drained.cancelled)
}

async fn service(version: Version, options: ServerOptions) -> Service {
    Service::serve(version, engine("chat"), options).await
}

fn server(service: &mut Service) -> Server {
    service.server.take().expect("a server")
}

/// Guarantee D-05.
#[test]
fn while_it_drains_calls_finish_or_are_cut_off_and_new_ones_are_refused() {
    run(async {
        for version in [Version::Http1, Version::Http2] {
            let options = ServerOptions::default().drain_timeout(Duration::from_millis(400));
            let mut service = service(version, options).await;
            let mut finite = Vec::new();
            for index in 0..10 {
                finite.push(service.ask(EVENTS, &format!("finite-{index}"), "Hello pause! world").await);
            }
            let mut endless = Vec::new();
            for index in 0..3 {
                endless.push(service.ask(EVENTS, &format!("endless-{version:?}-{index}"), "Hello wait!").await);
            }
            let control = service.control();
            assert!(control.is_ready());
            control.drain();
            assert!(!control.is_ready());
            let refused = loop {
                let answer = service.ask(EVENTS, "late", "Hello").await;
                if answer.status() != 200 {
                    break answer;
                }
            };
            assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
            assert_eq!(refused.header("connection"), matches!(version, Version::Http1).then_some("close"));
            assert!(refused.text().await.0.contains(r#""code":"draining""#));
            let live = service.send("GET /health/live", &[], b"").await;
            assert_eq!(live.status(), 200, "pages are still served");
            assert_eq!(service.send("GET /health/ready", &[], b"").await.status(), 503);
            assert_eq!(service.send("GET /metrics", &[], b"").await.status(), 200);
            for answer in finite {
                let (text, whole) = answer.text().await;
                assert!(whole && text.contains("world"), "{text}");
            }
            for (index, answer) in endless.into_iter().enumerate() {
                let (text, whole) = answer.text().await;
                assert!(!whole && text.starts_with("data: {\"text\":\"Hello\"}\n\n"), "{text}");
                let id = format!("endless-{version:?}-{index}");
                assert_eq!(service.noted(&id, 1).await, "cancelled: shutdown");
            }
            assert_eq!(server(&mut service).await.cancelled, 3);
            TcpStream::connect(&service.address).await.expect_err("nobody listens");
        }
    });
}

#[test]
fn without_calls_a_drain_ends_at_once_and_idle_connections_close() {
    run(async {
        let mut service = service(Version::Http1, ServerOptions::default()).await;
        let mut idle = Raw::connect(&service.address).await;
        idle.send(get("/health/live")).await;
        assert_eq!(idle.answer().await.0, 200);
        let silent = Raw::connect(&service.address).await;
        let started = Instant::now();
        service.control().drain();
        assert_eq!(counts(server(&mut service).await), (0, 0));
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!((idle.rest().await, silent.rest().await), (String::new(), String::new()));
    });
}

/// Guarantee D-06.
#[test]
fn while_it_settles_calls_are_taken_and_it_is_not_ready() {
    run(async {
        let mut service =
            service(Version::Http1, ServerOptions::default().drain_settle(Duration::from_millis(300))).await;
        service.control().drain();
        assert_eq!(service.send("GET /health/ready", &[], b"").await.status(), 503);
        let answer = service.ask(EVENTS, "settling", "Hello").await;
        assert_eq!((answer.status(), answer.header("connection")), (200, None));
        assert_eq!(counts(server(&mut service).await), (0, 0));
    });
}

#[test]
fn a_stop_cuts_everything_off_also_while_it_drains() {
    run(async {
        for drains in [false, true] {
            for version in [Version::Http1, Version::Http2] {
                let mut service = service(version, ServerOptions::default()).await;
                let id = format!("stopped-{version:?}-{drains}");
                let answer = service.ask(EVENTS, &id, "Hello wait!").await;
                assert_eq!(answer.status(), 200);
                if drains {
                    service.control().drain();
                }
                service.control().stop();
                server(&mut service).await;
                assert!(!answer.text().await.1, "the answer breaks off");
                assert_eq!(service.noted(&id, 1).await, "cancelled: shutdown");
                TcpStream::connect(&service.address).await.expect_err("nobody listens");
            }
        }
    });
}

#[test]
fn a_server_that_is_dropped_stops() {
    run(async {
        let mut service = service(Version::Http1, ServerOptions::default()).await;
        let answer = service.ask(EVENTS, "dropped", "Hello wait!").await;
        drop(server(&mut service));
        assert!(!answer.text().await.1);
        assert_eq!(service.noted("dropped", 1).await, "cancelled: shutdown");
    });
}

#[test]
fn a_call_whose_body_comes_after_the_drain_began_is_refused() {
    run(async {
        let mut service = service(Version::Http1, ServerOptions::default()).await;
        // It keeps the drain going.
        let running = service.ask(EVENTS, "running", "Hello wait!").await;
        let mut client = Raw::connect(&service.address).await;
        let request = chat("between", "Hello");
        let (begun, rest) = request.split_at(request.len() - 1);
        client.send(begun).await;
        service.control().drain();
        while service.ask(EVENTS, "late", "").await.status() == 200 {}
        client.send(rest).await;
        let (status, head, body) = client.answer().await;
        assert_eq!((status, header(&head, "connection")), (503, Some("close")));
        assert!(body.contains(r#""code":"draining""#), "{body}");
        drop(running);
        server(&mut service).await;
    });
}

#[test]
fn a_silent_client_does_not_hold_a_drain_up() {
    run(async {
        let mut service = service(Version::Http1, ServerOptions::default().drain_timeout(Duration::ZERO)).await;
        let mut begun = Raw::connect(&service.address).await;
        begun.send("POST /generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{").await;
        let mut half = Raw::connect(&service.address).await;
        half.send("GET /health").await;
        service.control().drain();
        tokio::time::timeout(Duration::from_secs(5), server(&mut service)).await.expect("it ends");
    });
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("pybridge-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn unix_sockets_are_served_and_their_files_go_with_them() {
    run(async {
        let folder = scratch("unix");
        let path = folder.join("chat.sock");
        // The file of a server that has died.
        drop(UnixListener::bind(&path).expect("a socket"));
        let listener = Listener::unix(&path).expect("it is replaced");
        assert_eq!(listener.url(true), format!("unix:{}", path.display()));
        let live = Listener::unix(&path).expect_err("it is taken");
        assert_eq!(live.kind(), std::io::ErrorKind::AddrInUse);
        let chat_engine = engine("chat").await.expect("it is there");
        let server = serve(chat_engine, [listener], ServerOptions::default()).expect("it serves");
        let mut client = Raw::connect_unix(&path).await;
        client.send(chat("unix", "Hello")).await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "x-request-id")), (200, Some("unix")));
        client.until("data: {\"text\":\"Hello\"}\n\n").await;
        server.control().drain();
        server.await;
        assert!(!path.exists());
        std::fs::write(&path, "no socket").expect("a file");
        Listener::unix(&path).expect_err("other files are left alone");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"no socket");
        std::fs::remove_dir_all(folder).expect("it goes");
    });
}

#[test]
fn sockets_that_others_have_bound_are_served() {
    run(async {
        let bound = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = bound.local_addr().expect("bound").to_string();
        let first = Listener::from_fd(OwnedFd::from(bound)).expect("it listens");
        assert_eq!((first.url(false), first.url(true)), (format!("http://{address}"), format!("https://{address}")));
        let second = Listener::bind("localhost", 0).expect("a port");
        let other = second.url(false).replace("http://", "");
        let chat_engine = engine("chat").await.expect("it is there");
        let _server = serve(chat_engine, [first, second], ServerOptions::default()).expect("it serves");
        for address in [address, other] {
            let mut client = Raw::connect(&address).await;
            client.send(get("/health/ready")).await;
            assert_eq!(client.answer().await.0, 200);
        }
    });
}

#[test]
fn what_is_no_socket_that_listens_is_refused() {
    let file = OwnedFd::from(std::fs::File::open("/dev/null").expect("it is there"));
    Listener::from_fd(file).expect_err("no socket");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let connected = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let error = Listener::from_fd(OwnedFd::from(connected)).expect_err("it is connected");
    assert!(error.to_string().contains("does not listen"), "{error}");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let error = Listener::from_fd(OwnedFd::from(datagrams)).expect_err("it is no stream");
    assert!(error.to_string().contains("no stream"), "{error}");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(Listener::bind("127.0.0.1", port).expect_err("taken").kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn an_option_that_cannot_be_is_named() {
    run(async {
        let engine = engine("chat").await.expect("it is there");
        let protocol = ProtocolOptions::default().path("no-slash".to_owned());
        let usual = ServerOptions::default;
        let table = [
            ("path", usual().protocol(protocol)),
            ("header_timeout", usual().header_timeout(Duration::ZERO)),
            ("body_timeout", usual().body_timeout(Duration::ZERO)),
            ("idle_timeout", usual().idle_timeout(Duration::ZERO)),
            ("write_timeout", usual().write_timeout(Duration::ZERO)),
            ("max_connections", usual().max_connections(0)),
            ("max_streams", usual().max_streams(0)),
            ("root_path", usual().root_path("llm")),
            ("root_path", usual().root_path("/llm/")),
        ];
        for (named, options) in table {
            match serve(engine.clone(), [], options) {
                Err(ServerError::Option { option, .. }) => assert_eq!(option, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_root_path_is_taken_off() {
    run(async {
        let service = service(Version::Http1, ServerOptions::default().root_path("/llm")).await;
        for path in ["/llm/health/live", "/health/live"] {
            assert_eq!(service.send(&format!("GET {path}"), &[], b"").await.status(), 200, "{path}");
        }
        assert_eq!(service.send("GET /other/health/live", &[], b"").await.status(), 404);
    });
}

#[test]
fn a_server_that_leaves_refuses_nobody_and_ends_with_its_connections() {
    run(async {
        for version in [Version::Http1, Version::Http2] {
            let mut service = service(version, ServerOptions::default()).await;
            let address = service.address.clone();
            let mut accepted = Raw::connect(&address).await;
            let live = service.ask(EVENTS, "leaving-live", "Hello pause! world").await;
            service.control().leave();
            accepted.send(chat("leaving-late", "Hello")).await;
            loop {
                if TcpStream::connect(&address).await.is_err() {
                    break;
                }
            }
            let (status, head, _) = accepted.answer().await;
            assert_eq!((status, header(&head, "connection")), (200, Some("close")));
            let (text, whole) = live.text().await;
            assert!(whole && text.contains("world"), "{text}");
            assert_eq!(counts(server(&mut service).await), (0, 0));
        }
    });
}

#[test]
fn what_a_server_that_leaves_cannot_wait_for_is_cancelled() {
    run(async {
        let options = ServerOptions::default().drain_timeout(Duration::ZERO);
        let mut service = service(Version::Http1, options).await;
        let endless = service.ask(EVENTS, "leaving-endless", "Hello wait!").await;
        service.control().leave();
        assert_eq!(counts(server(&mut service).await), (0, 1));
        assert!(!endless.text().await.1);
        assert_eq!(service.noted("leaving-endless", 1).await, "cancelled: shutdown");
    });
}
