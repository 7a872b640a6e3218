//! Metrics and options of a server, over real sockets.
#![cfg(feature = "server")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pybridge_http::{
    AccessLog, Api, Listener, ProtocolOptions, Server, ServerError, ServerOptions, metrics_text, serve,
};
use support::raw::{Raw, chat, get, status};
use support::service::Service;
use support::{Version, engine, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// The value of a sample of a page.
fn sample(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

/// Waits until a sample of this process has this value.
async fn until_counted(name: &str, expected: u64) {
    while sample(&metrics_text(), name) != expected {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pybridge-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Guarantee W-29.
#[test]
fn requests_are_counted_by_method_and_status() {
    run(async {
        for (version, name) in VERSIONS.into_iter().zip(["counted-1", "counted-2"]) {
            let service = Service::chat(version, name, ServerOptions::default()).await;
            let count = |method, status| {
                format!(r#"http_requests_total{{method="{method}",status="{status}",handler="{name}"}}"#)
            };
            let (text, whole) = service.ask(EVENTS, "r-1", "a b c").await.text().await;
            assert!(whole, "{text}");
            assert_eq!(service.ask(LINES, "r-2", "raise!").await.status(), 500);
            assert!(!service.ask(LINES, "r-3", "a raise!").await.text().await.1, "it breaks off");
            for line in ["GET /generate", "BREW /generate", "GET /nothing", "GET /health/live", "GET /metrics"] {
                service.send(line, &[], b"").await;
            }
            until_counted(&count("POST", 200), 2).await;
            until_counted(&count("POST", 500), 1).await;
            until_counted(&count("GET", 405), 1).await;
            until_counted(&count("OTHER", 405), 1).await;
            until_counted(&count("GET", 404), 1).await;
            until_counted(&format!(r#"http_requests_in_progress{{handler="{name}"}}"#), 0).await;
            let page = metrics_text();
            assert_eq!(sample(&page, &count("GET", 200)), 0, "pages are not counted: {page}");
            let first = format!(r#"pybridge_time_to_first_item_seconds_count{{handler="{name}"}}"#);
            assert_eq!(sample(&page, &first), 2);
            let durations = format!(r#"http_request_duration_seconds_count{{method="POST",handler="{name}"}}"#);
            assert_eq!(sample(&page, &durations), 3);
        }
    });
}

#[test]
fn items_are_counted_in_every_form_of_an_answer() {
    run(async {
        let gaps =
            |name: &str| sample(&metrics_text(), &format!(r#"pybridge_inter_item_seconds_count{{handler="{name}"}}"#));
        let gathered =
            ServerOptions::default().protocol(ProtocolOptions::default().flush_interval(Duration::from_secs(3600)));
        for (options, name) in [(ServerOptions::default(), "forms"), (gathered, "forms-gathered")] {
            let service = Service::chat(Version::Http1, name, options).await;
            for accept in [EVENTS, LINES, "application/msgpack"] {
                let before = gaps(name);
                assert!(service.ask(accept, "r", "a pause! b pause! c").await.bytes().await.1);
                until_counted(&format!(r#"http_requests_in_progress{{handler="{name}"}}"#), 0).await;
                assert_eq!(gaps(name) - before, 2, "{name} {accept}");
            }
        }
        let options = ServerOptions::default().protocol(ProtocolOptions::default().api(Api::OpenAi));
        let service = Service::serve(Version::Http1, engine("talk").name("forms-openai"), options).await;
        let message = r#""messages":[{"role":"user","content":"a pause! b pause! c"}]"#;
        for (stream, expected) in [(true, 2), (false, 2)] {
            let body = format!(r#"{{"model":"m","stream":{stream},{message}}}"#);
            let answer = service.send("POST /v1/chat/completions", &[], body.as_bytes()).await;
            assert!(answer.text().await.1);
            until_counted(r#"http_requests_in_progress{handler="forms-openai"}"#, 0).await;
            assert_eq!(gaps("forms-openai"), expected, "merged answers have no gaps");
        }
        until_counted(r#"pybridge_time_to_first_item_seconds_count{handler="forms-openai"}"#, 2).await;
    });
}

/// The form of a name: what stands between its separators, and in which alphabet.
fn form(name: &str) -> Vec<bool> {
    name.split('-').map(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())).collect()
}

#[test]
fn a_request_is_named_in_the_same_way_with_a_log_and_without() {
    run(async {
        for version in VERSIONS {
            let mut forms = Vec::new();
            for (log, name) in [(AccessLog::Off, "unlogged"), (AccessLog::Text, "logged")] {
                let service = Service::chat(version, name, ServerOptions::default().access_log(log)).await;
                for (line, prompt) in [("POST /generate", "a"), ("POST /generate", "raise!"), ("POST /none", "a")] {
                    let body = format!(r#"{{"prompt":"{prompt}"}}"#);
                    let answer = service.send(line, &[("content-type", "application/json")], body.as_bytes()).await;
                    forms.push(form(answer.header("x-request-id").expect("a name")));
                    let answer = service.send(line, &[("x-request-id", "mine")], body.as_bytes()).await;
                    assert_eq!(answer.header("x-request-id"), Some("mine"), "{log:?} {line} {prompt}");
                }
            }
            forms.dedup();
            assert_eq!(forms.len(), 1, "{forms:?}");
        }
    });
}

#[test]
fn connections_are_counted_while_they_are_open() {
    run(async {
        let service = Service::chat(Version::Http1, "connected", ServerOptions::default()).await;
        let name = r#"http_connections{handler="connected"}"#;
        let one = Raw::connect(&service.address).await;
        let other = Raw::connect(&service.address).await;
        until_counted(name, 2).await;
        drop(one);
        until_counted(name, 1).await;
        drop(other);
        until_counted(name, 0).await;
    });
}

#[test]
fn a_client_that_goes_before_its_answer_is_counted_as_499() {
    run(async {
        let service = Service::chat(Version::Http1, "gone", ServerOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(chat("r-1", "wait!")).await;
        assert_eq!(service.noted("r-1", 0).await, "started");
        client.reset();
        until_counted(r#"http_requests_total{method="POST",status="499",handler="gone"}"#, 1).await;
    });
}

/// Guarantee D-29.
#[test]
fn the_page_of_metrics_is_the_sum_over_all_processes() {
    run(async {
        let folder = Folder::new("peers");
        let peer = UnixListener::bind(folder.0.join("1.sock")).expect("a socket");
        let silent = UnixListener::bind(folder.0.join("2.sock")).expect("a socket");
        drop(UnixListener::bind(folder.0.join("3.sock")).expect("a socket that dies"));
        std::fs::write(folder.0.join("4.sock"), "no socket").expect("a file");
        let page = r#"http_requests_total{method="POST",status="200",handler="shared"}"#;
        for (name, count) in [("2", 3), ("3", 5)] {
            let counted = format!("# TYPE http_requests_total counter\n{page} {count}\n");
            let gauge = format!("# TYPE http_connections gauge\nhttp_connections{{handler=\"{name}\"}} 1\n");
            std::fs::write(folder.0.join(format!("{name}.page")), counted + &gauge).expect("a file");
        }
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = peer.accept().await.expect("a client");
                stream
                    .write_all(format!("{page} 40\nhttp_connections{{handler=\"peer\"}} 2\n").as_bytes())
                    .await
                    .expect("taken");
            }
        });
        let service = Service::chat(Version::Http1, "shared", ServerOptions::default().peers(folder.0.clone())).await;
        for _ in 0..2 {
            service.ask(LINES, "r", "a").await.text().await;
        }
        until_counted(page, 2).await;
        let started = Instant::now();
        let all = service.send("GET /metrics", &[], b"").await.text().await.0;
        assert!(started.elapsed() < Duration::from_secs(5), "who is silent is not waited for long");
        assert_eq!(sample(&all, page), 50, "who is silent or dead counts as far as it has told");
        for (name, connections) in [("peer", 2), ("2", 1), ("3", 0)] {
            assert_eq!(sample(&all, &format!(r#"http_connections{{handler="{name}"}}"#)), connections);
        }
        drop(silent);
        assert!(!folder.0.join("3.page").exists(), "what the dead leave does not pile up");
        let all = service.send("GET /metrics", &[], b"").await.text().await.0;
        assert_eq!(sample(&all, page), 50, "and counts once");

        let is_own = |path: &PathBuf| {
            path.extension().is_some_and(|kind| kind == "sock")
                && path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{}-", std::process::id())))
        };
        let mut entries = std::fs::read_dir(&folder.0).expect("a folder").map(|entry| entry.expect("an entry").path());
        let own = entries.find(is_own).expect("its socket");
        let mut text = String::new();
        UnixStream::connect(&own).await.expect("it listens").read_to_string(&mut text).await.expect("text");
        assert_eq!(sample(&text, page), 2, "a process gives its own");
        drop(service);
        while own.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

type SetTime = fn(ServerOptions, Duration) -> ServerOptions;

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    run(async {
        let engine = engine("chat").await.expect("it is there");
        let missing = PathBuf::from("/nowhere/at/all");
        for (options, expected) in [
            (ServerOptions::default().cors_origins(["example.org/"]), "cors_origins"),
            (ServerOptions::default().api_keys(["key", ""]), "api_keys"),
            (ServerOptions::default().forwarded_allow_ips(["localhost"]), "forwarded_allow_ips"),
            (ServerOptions::default().peers(missing), "peers"),
            (ServerOptions::default().root_path("llm"), "root_path"),
            (ServerOptions::default().root_path("/"), "root_path"),
            (ServerOptions::default().root_path("/\0"), "root_path"),
            (ServerOptions::default().max_connections(0), "max_connections"),
            (ServerOptions::default().max_streams(0), "max_streams"),
        ] {
            assert_refused(serve(engine.clone(), [], options), expected);
        }
        let times: [(&str, SetTime); 10] = [
            ("header_timeout", ServerOptions::header_timeout),
            ("body_timeout", ServerOptions::body_timeout),
            ("idle_timeout", ServerOptions::idle_timeout),
            ("write_timeout", ServerOptions::write_timeout),
            ("drain_timeout", ServerOptions::drain_timeout),
            ("drain_settle", ServerOptions::drain_settle),
            ("max_timeout", |options, time| of_protocol(options, |protocol| protocol.max_timeout(time))),
            ("commit_after", |options, time| of_protocol(options, |protocol| protocol.commit_after(time))),
            ("keep_alive", |options, time| of_protocol(options, |protocol| protocol.keep_alive(time))),
            ("flush_interval", |options, time| of_protocol(options, |protocol| protocol.flush_interval(time))),
        ];
        let most = Duration::from_secs(315_360_000);
        let mut longest = ServerOptions::default();
        for (index, (name, set)) in times.into_iter().enumerate() {
            for time in [Duration::MAX, most + Duration::from_nanos(1)] {
                assert_refused(serve(engine.clone(), [], set(ServerOptions::default(), time)), name);
            }
            if index < 4 || name == "max_timeout" {
                assert_refused(serve(engine.clone(), [], set(ServerOptions::default(), Duration::ZERO)), name);
            }
            longest = set(longest, most);
        }
        let listener = Listener::bind("127.0.0.1", 0).expect("a port");
        drop(serve(engine, [listener], longest).expect("ten years can be waited for"));
    });
}

#[track_caller]
fn assert_refused(server: Result<Server, ServerError>, expected: &str) {
    match server {
        Err(ServerError::Option { option, .. }) => assert_eq!(option, expected),
        other => panic!("{expected}: {other:?}"),
    }
}

fn of_protocol(options: ServerOptions, set: impl FnOnce(ProtocolOptions) -> ProtocolOptions) -> ServerOptions {
    let protocol = set(options.protocol.clone());
    options.protocol(protocol)
}

#[test]
fn a_page_is_served_to_those_who_ask_for_its_head() {
    run(async {
        let service = Service::chat(Version::Http1, "heads", ServerOptions::default()).await;
        let mut client = Raw::connect(&service.address).await;
        client.send(get("/metrics").replace("GET", "HEAD")).await;
        let head = client.head().await;
        assert_eq!(status(&head), 200);
        client.send(get("/health/live")).await;
        assert_eq!(client.answer().await.0, 200, "nothing of a body was between");
    });
}
