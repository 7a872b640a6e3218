//! Calls of handlers that return one value, from routes.
#![cfg(feature = "axum")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use pybridge::CallOptions;
use serde_json::{Value, json};
use support::{engine, noted, run};

fn named(id: &str) -> CallOptions {
    CallOptions::default().request_id(id)
}

#[test]
fn a_call_gives_the_one_value_and_its_failures_name_the_request() {
    run(async {
        let chat = engine("chat").await.expect("it is there");
        let value: Value = pybridge_http::call(&chat, json!({"prompt": "one"}), named("c-1")).await.expect("a value");
        assert_eq!(value, json!({"text": "one"}));
        for (prompt, status, detail) in [("raise!", 500, "a private text"), ("one two", 500, "more than one item")] {
            let call = pybridge_http::call::<_, Value>(&chat, json!({"prompt": prompt}), named("c-2"));
            let error = call.await.expect_err("it fails");
            assert_eq!((error.status().as_u16(), &error.headers()["x-request-id"]), (status, &"c-2".parse().unwrap()));
            let said = error.stream_error().and_then(|error| error.detail()).expect("it is for logs");
            assert!(said.message.contains(detail) && !error.to_string().contains(detail), "{said:?}");
        }
    });
}

#[test]
fn a_call_that_is_dropped_cancels_its_handler_as_a_client_that_has_gone() {
    run(async {
        let chat = engine("chat").await.expect("it is there");
        let notes = engine("noted").unary(true).await.expect("it is there");
        {
            let mut call = pin!(pybridge_http::call::<_, Value>(&chat, json!({"prompt": "wait!"}), named("c-3")));
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(noted(&notes, "c-3", 0).await, "started");
        }
        assert_eq!(noted(&notes, "c-3", 1).await, "cancelled: client");
    });
}
