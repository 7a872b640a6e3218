//! `OpenAI`'s interface on the server; its shapes have tests beside their code.
#![cfg(feature = "server")]

mod support;

use pybridge::{EngineBuilder, FlowConfig};
use pybridge_http::{Api, ProtocolOptions};
use serde_json::{Value, json};
use support::service::Service;
use support::{Answer, Version, engine, run};

const CHAT: &str = "POST /v1/chat/completions";

async fn start(version: Version, engine: EngineBuilder) -> Service {
    Service::start(version, engine, ProtocolOptions::default().api(Api::OpenAi)).await
}

async fn ask(service: &Service, id: &str, prompt: &str, more: Value) -> Answer {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": prompt}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let headers = [("content-type", "application/json"), ("accept", "application/json"), ("x-request-id", id)];
    service.send(CHAT, &headers, body.to_string().as_bytes()).await
}

/// The data of events.
fn data(text: &str) -> Vec<&str> {
    text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("an event")).collect()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Guarantee W-33.
#[test]
fn a_streamed_answer_is_chunks_that_done_closes() {
    run(async {
        for version in [Version::Http1, Version::Http2] {
            for handler in ["talk", "envelopes"] {
                let service = start(version, engine(handler)).await;
                let answer = ask(&service, "r-1", "Hello pause! world", json!({"stream": true})).await;
                assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
                assert_eq!(
                    (answer.header("x-request-id"), answer.header("cache-control")),
                    (Some("r-1"), Some("no-cache"))
                );
                let (text, whole) = answer.text().await;
                let mut data = data(&text);
                assert_eq!((data.pop(), whole), (Some("[DONE]"), true));
                let said: String = data
                    .iter()
                    .filter_map(|chunk| json_of(chunk)["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
                    .collect();
                assert_eq!(said, "Helloworld", "{text}");
            }
        }
    });
}

#[test]
fn an_answer_in_one_piece_is_merged() {
    run(async {
        for handler in ["talk", "envelopes"] {
            let service = start(Version::Http1, engine(handler)).await;
            let answer = ask(&service, "r-1", "Hello world", json!({})).await;
            assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
            assert_eq!(answer.header("x-request-id"), Some("r-1"));
            let whole = json_of(&answer.text().await.0);
            assert_eq!(
                (&whole["object"], &whole["choices"][0]["message"]["content"]),
                (&json!("chat.completion"), &json!("Helloworld"))
            );
        }
    });
}

/// Guarantee W-34.
#[test]
fn usage_comes_last_where_it_was_asked_for() {
    run(async {
        let service = start(Version::Http1, engine("talk")).await;
        let usage = json!({"stream": true, "stream_options": {"include_usage": true}});
        let (text, _) = ask(&service, "r-1", "Hello usage!", usage).await.text().await;
        let chunks = data(&text);
        let last = json_of(chunks[chunks.len() - 2]);
        assert_eq!((&last["usage"]["total_tokens"], &last["choices"]), (&json!(7), &json!([])), "{text}");
        let (text, _) = ask(&service, "r-2", "Hello usage!", json!({"stream": true})).await.text().await;
        assert!(!text.contains("total_tokens"), "{text}");
    });
}

/// Guarantee W-35.
#[test]
fn a_failure_has_all_four_keys_before_the_head_and_after_it() {
    run(async {
        let service = start(Version::Http1, engine("talk")).await;
        let told = json!({"error": {"message": "the handler failed", "type": "server_error", "param": null, "code": "handler_error"}});
        for more in [json!({}), json!({"stream": true})] {
            let answer = ask(&service, "r-1", "raise!", more).await;
            assert_eq!((answer.status(), answer.header("x-should-retry")), (500, Some("false")));
            assert_eq!(
                (answer.header("x-request-id"), answer.header("content-type")),
                (Some("r-1"), Some("application/json"))
            );
            assert_eq!(json_of(&answer.text().await.0), told);
        }
        let late = ask(&service, "r-2", "Hello raise!", json!({})).await;
        assert_eq!(late.status(), 500, "an answer in one piece keeps its status");
        let (text, whole) = ask(&service, "r-3", "Hello raise!", json!({"stream": true})).await.text().await;
        let (chunks, event) = text.split_once("event: error\ndata: ").expect("it is told");
        assert!(chunks.contains("Hello") && !text.contains("[DONE]") && !whole, "{text}");
        assert_eq!(json_of(event), told);
    });
}

#[test]
fn an_item_that_is_no_chunk_fails_and_stops_the_handler() {
    run(async {
        let service = start(Version::Http1, engine("envelopes")).await;
        for (id, more) in [("bad-1", json!({})), ("bad-2", json!({"stream": true}))] {
            let answer = ask(&service, id, "number! wait!", more).await;
            assert_eq!((answer.status(), answer.header("x-should-retry")), (500, Some("false")));
            assert_eq!(service.noted(id, 1).await, "cancelled: caller", "{id}");
        }
        let (text, whole) = ask(&service, "bad-3", "Hello number! wait!", json!({"stream": true})).await.text().await;
        assert!(text.contains("Hello") && text.contains("event: error") && !whole, "{text}");
        assert_eq!(service.noted("bad-3", 1).await, "cancelled: caller");
    });
}

/// Guarantee W-12.
#[test]
fn a_client_that_goes_cancels_the_handler() {
    run(async {
        let service = start(Version::Http1, engine("talk")).await;
        for (id, more) in [("gone-1", json!({})), ("gone-2", json!({"stream": true}))] {
            tokio::select! {
                answer = ask(&service, id, "wait!", more) => panic!("status {}", answer.status()),
                started = service.noted(id, 0) => assert_eq!(started, "started"),
            }
            assert_eq!(service.noted(id, 1).await, "cancelled: client", "{id}");
        }
    });
}

#[test]
fn overload_is_for_clients_to_come_again() {
    run(async {
        let busy = engine("talk").flow(FlowConfig::default().max_concurrency(1).max_queue(0));
        let service = start(Version::Http1, busy).await;
        let running = ask(&service, "r-1", "Hello wait!", json!({"stream": true})).await;
        let answer = ask(&service, "r-2", "Hello", json!({})).await;
        assert_eq!(
            (answer.status(), answer.header("retry-after"), answer.header("x-should-retry")),
            (503, Some("1"), None)
        );
        assert_eq!(json_of(&answer.text().await.0)["error"]["code"], "overloaded");
        drop(running);
    });
}

#[test]
fn with_a_flush_interval_events_leave_together() {
    run(async {
        let options = ProtocolOptions::default().api(Api::OpenAi).flush_interval(std::time::Duration::from_secs(3600));
        for handler in ["talk", "envelopes"] {
            let service = Service::start(Version::Http1, engine(handler), options.clone()).await;
            let mut answer = ask(&service, "r-1", "a pause! b pause! c", json!({"stream": true})).await;
            let mut pieces = Vec::new();
            while let Some(piece) = answer.piece().await {
                pieces.push(String::from_utf8(piece.expect("no failure").to_vec()).expect("text"));
            }
            let all = pieces.concat();
            assert!(all.ends_with("data: [DONE]\n\n") && pieces.len() <= 3, "{handler}: {pieces:?}");
            assert!(pieces[1].contains(r#""b""#) && pieces[1].contains(r#""c""#), "{handler}: {pieces:?}");
        }
    });
}

#[test]
fn with_a_flush_interval_large_items_arrive_whole() {
    run(async {
        let options = ProtocolOptions::default().api(Api::OpenAi).flush_interval(std::time::Duration::from_millis(5));
        let service = Service::start(Version::Http1, engine("talk"), options).await;
        let prompt = "quarter! quarter! pause! megabyte! quarter! Hello";
        let (text, whole) = ask(&service, "r-1", prompt, json!({"stream": true})).await.text().await;
        assert_eq!((4 * text.matches("xxxx").count(), whole), ((3 << 18) + (1 << 20), true));
        assert!(text.contains("Hello") && text.ends_with("data: [DONE]\n\n"));
    });
}
