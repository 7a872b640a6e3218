//! A server whose process has no file descriptors left. It is alone in its program: the limit is the process's.
#![cfg(feature = "server")]

mod support;

use std::fs::File;
use std::time::{Duration, Instant};

use pybridge_http::ServerOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::raw::{Raw, get};
use support::service::Service;
use support::{Version, engine, run};
use tokio::net::TcpStream;

/// Guarantee D-17.
#[test]
fn without_file_descriptors_the_server_waits_until_there_are_some() {
    run(async {
        let service = Service::serve(Version::Http1, engine("chat"), ServerOptions::default()).await;
        let first = service.ask("*/*", "first", "Hello").await;
        assert_eq!(first.status(), 200);
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum }).expect("a lower limit");
        // Clients and server have them from one store, which both empty.
        let mut clients = Vec::new();
        while let Ok(client) = TcpStream::connect(&service.address).await {
            clients.push(client);
        }
        assert!(clients.len() > 20);
        let mut last = Raw::of(clients.pop().expect("a client"));
        last.send(get("/health/live")).await;
        drop(clients);
        assert_eq!(last.answer().await.0, 200);
        let mut new = Raw::connect(&service.address).await;
        new.send(get("/health/live")).await;
        assert_eq!(new.answer().await.0, 200);
        one_that_goes_makes_room_at_once(&service, new).await;
    });
}

/// `there`: a client whose connection is open.
async fn one_that_goes_makes_room_at_once(service: &Service, mut there: Raw) {
    let mut files = Vec::new();
    let started = Instant::now();
    for _ in 0..10 {
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        files.pop();
        // It takes the last one, and the server finds none for it. Connections that end elsewhere may take one for a moment.
        let mut waiting = loop {
            match TcpStream::connect(&service.address).await {
                Ok(stream) => break Raw::of(stream),
                Err(_) => drop(files.pop().expect("a file")),
            }
        };
        waiting.send(get("/health/live")).await;
        drop(there);
        assert_eq!(waiting.answer().await.0, 200);
        there = waiting;
    }
    // A pause at each would take a tenth of a second.
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}
