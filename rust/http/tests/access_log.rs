//! The access log: one line for each request, whatever a client sends and however it ends.
#![cfg(feature = "server")]

mod support;

use std::process::Command;
use std::time::Duration;

use pybridge_http::{AccessLog, ServerOptions};
use serde_json::Value;
use support::raw::{Raw, chat, status};
use support::service::Service;
use support::{Version, run};

const LOGGED: &str = "PYBRIDGE_TEST_LOG";

/// What ends lines, texts or the colours of a terminal, as far as HTTP lets it through.
const HOSTILE: &str = "\t\"\\ \u{9b}31m\u{85}\u{2028}\" 200 1 duration_ms=1";

/// Runs this test again in a process of its own, which logs in this form; gives what it wrote to standard error.
fn logged(form: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("a program");
    let test = "the_access_log_tells_of_each_request";
    let output = Command::new(program).args(["--exact", test, "--nocapture"]).env(LOGGED, form).output();
    let output = output.expect("it runs");
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{log}");
    log.lines().filter(|line| line.contains("duration_ms")).map(str::to_owned).collect()
}

/// Sends requests of which each ends in another way.
fn be_logged(log: AccessLog) {
    run(async {
        let options = ServerOptions::default().access_log(log).api_keys(["key"]).root_path("/llm");
        let mut service = Service::chat(Version::Http1, "logged", options).await;
        let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200));
        for (head, expected) in [("\u{16}\u{3}\u{1}\r\n\r\n", 400), (&many, 431)] {
            let mut client = Raw::connect(&service.address).await;
            client.send(head).await;
            assert_eq!(status(&client.rest().await), expected);
        }
        let headers = |id: &'static str| [("x-api-key", "key"), ("x-request-id", id), ("x-forwarded-for", "192.0.2.7")];
        let hostile = [&headers("hostile")[..], &[("user-agent", HOSTILE), ("referer", HOSTILE)]].concat();
        service.send("POST /llm/generate", &hostile, br#"{"prompt":"a"}"#).await.text().await;
        for (id, body) in
            [("whole", r#"{"prompt":"a b pause! c"}"#), ("broken", r#"{"prompt":"a raise!"}"#), ("bad", "{")]
        {
            service.send("POST /llm/generate?secret=1", &headers(id), body.as_bytes()).await.text().await;
        }
        service.send("POST /generate", &headers("keyless")[1..], b"{}").await;
        service.send("GET /health/live", &[], b"").await;
        for (id, prompt) in [("early", "wait!"), ("late", "a wait!")] {
            let mut client = Raw::connect(&service.address).await;
            client.send(chat(id, prompt).replace("host:", "x-api-key: key\r\nhost:")).await;
            assert_eq!(service.noted(id, 0).await, "started");
            if id == "late" {
                client.head().await;
            }
            drop(client);
            assert_eq!(service.noted(id, 1).await, "cancelled: client");
        }
        let mut nameless = Raw::connect(&service.address).await;
        nameless.send(chat("", "wait!").replace("host:", "x-api-key: key\r\nhost:")).await;
        while service.engine.live() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(nameless);
        while service.engine.live() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut waiting = Raw::connect(&service.address).await;
        waiting.send(chat("waiting", "wait!").replace("host:", "x-api-key: key\r\nhost:")).await;
        assert_eq!(service.noted("waiting", 0).await, "started");
        let mut cut = Raw::connect(&service.address).await;
        cut.send(chat("cut", "a wait!").replace("host:", "x-api-key: key\r\nhost:")).await;
        cut.head().await;
        service.control().stop();
        service.server.take().expect("a server").await;
    });
}

/// Guarantee D-22.
#[test]
fn the_access_log_tells_of_each_request() {
    match std::env::var(LOGGED).as_deref() {
        Ok("text") => return be_logged(AccessLog::Text),
        Ok("json") => return be_logged(AccessLog::Json),
        _ => {}
    }
    let refused = [(400, "invalid HTTP method parsed"), (431, "message head is too large")];
    let expected = [
        ("hostile", 200, 1, "finished"),
        ("whole", 200, 3, "finished"),
        ("broken", 200, 1, "failed"),
        ("bad", 400, 0, "refused"),
        ("keyless", 401, 0, "refused"),
        ("early", 499, 0, "client"),
        ("late", 200, 1, "client"),
        ("", 499, 0, "client"),
        ("cut", 200, 1, "shutdown"),
        ("waiting", 503, 0, "shutdown"),
    ];
    // The last two end together.
    let sorted = |mut lines: Vec<String>| {
        lines[7..].sort_by_key(|line| line.contains("\"waiting\""));
        lines
    };
    let mut lines = logged("json");
    for ((status, reason), line) in refused.iter().zip(lines.drain(..2)) {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&line["status"], &line["reason"]), (&(*status).into(), &(*reason).into()), "{line}");
        assert_eq!((&line["ending"], &line["client"]), (&"refused".into(), &"127.0.0.1".into()), "{line}");
        assert!(["method", "path", "version", "request_id"].iter().all(|name| line[name].is_null()), "{line}");
    }
    let lines = sorted(lines);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (id, status, items, ending)) in lines.iter().zip(expected) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = line["request_id"].as_str().expect("a name");
        assert!(
            name == id || id.is_empty() && name.len() == 16,
            "{line}: one is made up, which the handler has as well"
        );
        assert_eq!((&line["status"], &line["items"]), (&status.into(), &items.into()), "{line}");
        assert_eq!((&line["ending"], &line["first_item_ms"].is_number()), (&ending.into(), &(items > 0)), "{line}");
        assert!(line["duration_ms"].as_f64() > Some(0.0), "{line}");
    }
    assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:#?}");
    let whole: Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!((&whole["path"], &whole["client"]), (&"/llm/generate".into(), &"192.0.2.7".into()));
    assert_eq!(whole["bytes"], "{\"text\":\"a\"}\n".len() * 3);
    assert!(whole.get("reason").is_none(), "{whole}");

    let mut lines = logged("text");
    for ((status, reason), line) in refused.iter().zip(lines.drain(..2)) {
        assert!(
            line.contains(&format!("] \"-\" {status} 0 \"-\" \"-\" request_id=\"-\" items=0 ending=refused ")),
            "{line}"
        );
        assert!(line.ends_with(&format!(" reason=\"{reason}\"")), "{line}");
    }
    let lines = sorted(lines);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    assert!(lines.iter().flat_map(|line| line.bytes()).all(|byte| (b' '..=b'~').contains(&byte)), "{lines:#?}");
    for (line, (id, status, items, ending)) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("\" {status} ")), "{line}");
        assert!(line.contains(&format!(" request_id=\"{id}")), "{line}");
        assert!(line.contains(&format!("\" items={items} ending={ending} first_item_ms=")), "{line}");
    }
}
