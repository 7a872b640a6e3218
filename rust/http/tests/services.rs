//! Engines as tower services, under tower's own layers.
#![cfg(feature = "tower")]

mod support;

use futures_util::StreamExt;
use pybridge::codec::Framing;
use pybridge::{CallOptions, Engine, FailureKind, FlowConfig, Reason, StreamError};
use pybridge_http::{Call, ChunkService, FrameService};
use support::{engine, noted, run};
use tower::{Service, ServiceBuilder, ServiceExt};

async fn chat(flow: FlowConfig) -> Engine {
    engine("chat").flow(flow).await.expect("it is there")
}

fn call(prompt: &str) -> Call {
    Call::new(format!(r#"{{"prompt": "{prompt}"}}"#))
}

fn kind<T>(answer: Result<T, StreamError>) -> Option<FailureKind> {
    answer.err().and_then(|error| error.kind())
}

#[test]
fn services_answer_with_chunks_or_with_frames() {
    run(async {
        let engine = chat(FlowConfig::default()).await;
        let chunks =
            ChunkService::new(engine.clone(), Framing::Sse).oneshot(call("Hello world")).await.expect("a place");
        let chunks: Vec<_> = chunks.map(|chunk| chunk.expect("an item")).collect().await;
        assert_eq!(chunks.concat(), b"data: {\"text\":\"Hello\"}\n\ndata: {\"text\":\"world\"}\n\n");
        let frames = FrameService::new(engine).oneshot(call("Hello world")).await.expect("a place");
        let frames: Vec<_> = frames.map(|frame| frame.expect("an item").to_vec()).collect().await;
        assert_eq!(frames, [br#"{"text":"Hello"}"#, br#"{"text":"world"}"#]);
    });
}

#[test]
fn a_service_is_ready_when_it_holds_a_place() {
    run(async {
        let mut service = FrameService::new(chat(FlowConfig::default().max_concurrency(1)).await);
        let running = service.ready().await.expect("serving").call(call("wait!")).await.expect("a place");
        let mut clone = service.clone();
        let (mut first, mut second) =
            (tokio_test::task::spawn(service.ready()), tokio_test::task::spawn(clone.ready()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        drop(running);
        (&mut first).await.expect("serving");
        assert!(second.poll().is_pending(), "one place");
        drop(first);
        drop(service);
        second.await.expect("a service that goes gives its place back");
    });
}

#[test]
fn options_reach_the_handler() {
    run(async {
        let notes = engine("noted").unary(true).await.expect("it is there");
        let service = FrameService::new(chat(FlowConfig::default()).await);
        let options = CallOptions::default().request_id("by-service");
        let frames = service.oneshot(call("wait!").options(options)).await.expect("a place").on_drop(Reason::Client);
        assert_eq!(noted(&notes, "by-service", 0).await, "started");
        drop(frames);
        assert_eq!(noted(&notes, "by-service", 1).await, "cancelled: client");
    });
}

#[test]
fn with_a_full_queue_the_call_is_refused_and_the_service_stays_whole() {
    run(async {
        let engine = chat(FlowConfig::default().max_concurrency(1).max_queue(0)).await;
        let running = engine.frames(call("wait!").body, CallOptions::default()).expect("a place");
        let mut service = FrameService::new(engine);
        assert_eq!(
            kind(service.ready().await.expect("it is not broken").call(call("Hello")).await),
            Some(FailureKind::Overloaded)
        );
        drop(running);
        loop {
            match service.ready().await.expect("it is not broken").call(call("Hello")).await {
                Ok(frames) => break assert_eq!(frames.count().await, 1),
                Err(error) => assert_eq!(error.kind(), Some(FailureKind::Overloaded), "until the handler has left"),
            }
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_closed_engine_is_a_broken_service() {
    run(async {
        let engine = chat(FlowConfig::default().max_concurrency(1)).await;
        let running = engine.frames(call("wait!").body, CallOptions::default()).expect("a place");
        let mut service = FrameService::new(engine.clone());
        let mut waiting = tokio_test::task::spawn(service.ready());
        assert!(waiting.poll().is_pending());
        engine.close();
        assert_eq!(kind(waiting.await), Some(FailureKind::Closed));
        assert_eq!(kind(service.ready().await), Some(FailureKind::Closed));
        drop(running);
    });
}

#[test]
fn layers_of_tower_shed_what_would_wait() {
    run(async {
        let engine = chat(FlowConfig::default().max_concurrency(1)).await;
        let running = engine.frames(call("wait!").body, CallOptions::default()).expect("a place");
        let service = ServiceBuilder::new().load_shed().service(FrameService::new(engine));
        let error = service.oneshot(call("Hello")).await.expect_err("no place");
        assert!(error.is::<tower::load_shed::error::Overloaded>(), "{error}");
        drop(running);
    });
}

#[test]
#[should_panic(expected = "poll_ready")]
fn a_call_of_a_service_that_is_not_ready_is_a_defect() {
    run(async {
        let mut service = FrameService::new(chat(FlowConfig::default()).await);
        drop(service.call(call("Hello")).await);
    });
}
