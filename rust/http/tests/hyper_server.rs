//! Answers below hyper itself, without a framework.
#![cfg(feature = "http")]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pybridge::CallOptions;
use pybridge_http::Sse;
use support::{Version, engine, listen, run, send};

/// A connection that gathers what it writes, as those must that can write but one piece at a time.
#[test]
fn a_server_that_copies_into_one_buffer_sends_what_tells_of_a_failure() {
    run(async {
        let (chat, (listener, address)) = (engine("chat").await.expect("it is there"), listen());
        tokio::spawn(async move {
            let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let events = Sse::open(&chat, body, CallOptions::default(), Duration::from_secs(10)).await;
                Ok::<_, Infallible>(match events {
                    Ok(events) => events.into_http().map(Either::Left),
                    Err(error) => error.into_http().map(|body| Either::Right(Full::from(body))),
                })
            });
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let mut server = hyper::server::conn::http1::Builder::new();
                drop(server.writev(false).serve_connection(TokioIo::new(stream), &service).await);
            }
        });
        let (text, whole) = send(&address, Version::Http1, &[], r#"{"prompt": "Hello raise!"}"#).await.text().await;
        assert!(text.starts_with("data: {\"text\":\"Hello\"}\n\nevent: error\n") && !whole, "{text}");
        let answer = send(&address, Version::Http1, &[], r#"{"prompt": "raise!"}"#).await;
        assert_eq!(answer.response.status(), 500);
        assert!(answer.text().await.0.contains("handler_error"));
    });
}
