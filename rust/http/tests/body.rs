//! Bodies of answers, polled as a server polls them.
#![cfg(feature = "axum")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;
use pybridge::codec::Framing;
use pybridge::{CallOptions, ChunkStream, Engine};
use pybridge_http::{ChunkBody, Interrupted, Ndjson, Sse};
use support::{engine, run};

fn ask(chat: &Engine, prompt: &str, framing: Framing) -> ChunkStream {
    let request = format!(r#"{{"prompt": "{prompt}"}}"#);
    chat.chunks(request, framing, CallOptions::default()).expect("a place")
}

async fn piece(body: &mut ChunkBody) -> Option<Result<Bytes, Interrupted>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// How often it is polled until it has more than comments; the comments among that.
async fn comments_before_an_item(sse: Sse) -> usize {
    let mut body = sse.into_http().into_body();
    let mut comments = 0;
    while piece(&mut body).await.expect("an item").expect("no failure").starts_with(b":") {
        comments += 1;
    }
    comments
}

#[test]
fn no_comment_is_sent_where_the_interval_is_zero_or_longer_than_all_time() {
    run(async {
        let chat = engine("chat").await.expect("it is there");
        for interval in [Duration::ZERO, Duration::MAX] {
            let sse = Sse::from(ask(&chat, "pause! Hello", Framing::Sse)).keep_alive(interval);
            assert_eq!(comments_before_an_item(sse).await, 0, "{interval:?}");
        }
    });
}

#[test]
fn a_body_that_has_ended_gives_nothing_more() {
    run(async {
        let chat = engine("chat").await.expect("it is there");
        for prompt in ["Hello", "Hello raise!", "raise!", ""] {
            let events = Sse::from(ask(&chat, prompt, Framing::Sse)).last("[DONE]").into_http().into_body();
            for mut body in [events, Ndjson::from(ask(&chat, prompt, Framing::Ndjson)).into_http().into_body()] {
                while let Some(Ok(_)) = piece(&mut body).await {}
                for _ in 0..3 {
                    assert!(body.is_end_stream() && piece(&mut body).await.is_none(), "{prompt}");
                }
            }
        }
    });
}

/// What it holds would stay as long as the connection does, and a graceful end would wait for that.
#[test]
fn a_client_that_reads_nothing_keeps_a_failed_answer_for_a_while_only() {
    // Its clock can be moved.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no threads are needed");
    let chat = engine("chat").blocking().expect("it is there");
    runtime.block_on(async {
        let events = Sse::from(ask(&chat, "Hello raise!", Framing::Sse)).into_http().into_body();
        for mut body in [events, Ndjson::from(ask(&chat, "Hello raise!", Framing::Ndjson)).into_http().into_body()] {
            let mut unread = Vec::new();
            while let Ok(Some(Ok(bytes))) = tokio::time::timeout(Duration::from_secs(1), piece(&mut body)).await {
                unread.push(bytes);
            }
            assert!(piece(&mut body).now_or_never().is_none(), "the server has not written {unread:?}");
            tokio::time::pause();
            let ended = tokio::time::timeout(Duration::from_secs(60), piece(&mut body)).await.expect("it breaks off");
            assert!(matches!(ended, Some(Err(_))), "{ended:?}");
            assert!(piece(&mut body).await.is_none());
            tokio::time::resume();
            drop(unread);
        }
    });
}
