//! Answers of the protocol as fronts poll them that are no servers of tokio: on any thread, one piece after the other.
#![cfg(feature = "http")]

mod support;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pybridge::{CallOptions, Engine, Framing};
use pybridge_http::{AnswerBody, Api, Interrupted, Plain, Protocol, ProtocolOptions, Route};
use support::heads::{called, post, prepared, protocol, route};
use support::{engine, noted};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future to its end on this thread, which has no runtime.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

/// A copy of the next piece, which is dropped.
fn piece(body: &mut AnswerBody) -> Option<Result<Vec<u8>, Interrupted>> {
    let frame = wait(std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)))?;
    Some(frame.map(|frame| frame.into_data().expect("data").to_vec()))
}

/// All that is sent, and whether it ended as it should.
fn text(answer: Response<AnswerBody>) -> (String, bool) {
    let (mut body, mut all) = (answer.into_body(), Vec::new());
    let whole = loop {
        match piece(&mut body) {
            Some(Ok(piece)) => all.extend(piece),
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    assert!(piece(&mut body).is_none() && body.is_end_stream());
    (String::from_utf8(all).expect("text"), whole)
}

fn chat() -> Engine {
    engine("chat").blocking().expect("it is there")
}

fn protocol_of(options: &ProtocolOptions, engine: &Engine) -> Protocol {
    Protocol::new(options.clone(), engine.profile()).expect("options that can be")
}

fn ask(options: &ProtocolOptions, engine: &Engine, accept: &str, prompt: &str) -> Response<AnswerBody> {
    let incoming = called(post(&protocol_of(options, engine), &[("accept", accept)]));
    let prepared = incoming.body(format!(r#"{{"prompt": "{prompt}"}}"#).into()).expect("a body that fits");
    wait(prepared.run(engine))
}

/// Guarantee W-10.
#[test]
fn who_copies_each_piece_and_drops_it_gets_all_of_a_failure() {
    let chat = chat();
    let options = ProtocolOptions::default();
    for prompt in ["Hello raise!", "Hello pause! raise!"] {
        let (events, whole) = text(ask(&options, &chat, "text/event-stream", prompt));
        assert!(!whole && events.ends_with("}}\n\n"), "{events}");
        assert!(events.starts_with("data: {\"text\":\"Hello\"}\n\nevent: error\ndata: {\"error\""), "{events}");
        let lines = text(ask(&options, &chat, "application/x-ndjson", prompt));
        assert_eq!(lines, ("{\"text\":\"Hello\"}\n".to_owned(), false));
    }
}

#[test]
fn heads_and_comments_are_timed_on_threads_without_a_runtime() {
    let options =
        ProtocolOptions::default().commit_after(Duration::from_millis(1)).keep_alive(Duration::from_millis(2));
    let (text, whole) = text(ask(&options, &chat(), "text/event-stream", "pause! Hello pause! world"));
    assert!(
        text.starts_with(": ka\n") && text.contains("}\n\n: ka\n") && !text.contains(": ka\n\n") && whole,
        "{text}"
    );
    assert_eq!(text.replace(": ka\n", "").matches("data: ").count(), 2, "{text}");
}

#[test]
fn what_is_all_there_when_the_head_goes_is_one_piece_of_a_known_length() {
    let chat = chat();
    let answered = |accept: &str, prompt: &str| {
        let incoming = called(post(&protocol_of(&ProtocolOptions::default(), &chat), &[("accept", accept)]));
        let prepared = incoming.body(format!(r#"{{"prompt": "{prompt}"}}"#).into()).expect("a body that fits");
        let started = chat.chunks(prepared.body.clone(), prepared.framing, prepared.options.clone()).expect("a place");
        let canceller = started.canceller();
        wait(std::future::poll_fn(|context| canceller.poll_ended(context)));
        wait(prepared.answer(Ok(started))).into_body()
    };
    for (accept, prompt, expected) in [
        ("application/x-ndjson", "Hello", "{\"text\":\"Hello\"}\n"),
        ("text/event-stream", "Hello", "data: {\"text\":\"Hello\"}\n\n"),
        ("text/event-stream", "", ""),
        ("application/json", "Hello", "[{\"text\":\"Hello\"}]"),
    ] {
        let mut body = answered(accept, prompt);
        assert_eq!(body.size_hint().exact(), Some(expected.len() as u64), "{accept}");
        if !expected.is_empty() {
            assert_eq!(piece(&mut body).expect("a piece").expect("no failure"), expected.as_bytes());
        }
        assert!(body.is_end_stream() && piece(&mut body).is_none(), "{accept}");
    }
    assert_eq!(answered("application/x-ndjson", "Hello raise!").size_hint().exact(), None, "it breaks off");
}

/// Guarantee W-12.
#[test]
fn an_answer_that_is_dropped_before_it_is_polled_cancels_as_a_client_that_has_gone() {
    let (chat, notes) = (chat(), engine("noted").unary(true).blocking().expect("it is there"));
    let start = |id: &str| {
        let options = CallOptions::default().request_id(id);
        let started = chat.chunks(&br#"{"prompt": "wait!"}"#[..], Framing::Ndjson, options);
        assert_eq!(support::run(noted(&notes, id, 0)), "started");
        started
    };
    drop(prepared(&protocol(ProtocolOptions::default()), &[]).answer(start("dropped-1")));
    drop(Plain::new(Framing::Ndjson).answer(start("dropped-2")));
    for id in ["dropped-1", "dropped-2"] {
        assert_eq!(support::run(noted(&notes, id, 1)), "cancelled: client", "{id}");
    }
}

#[test]
fn a_call_that_became_no_stream_is_answered_by_its_name() {
    let chat = chat();
    chat.close();
    let started = || chat.chunks(Bytes::new(), Framing::Sse, CallOptions::default());
    let mut plain = Plain::new(Framing::Sse);
    plain.request_id = Some("r-1".to_owned());
    let answers = [
        wait(plain.answer(started())),
        wait(prepared(&protocol(ProtocolOptions::default()), &[("x-request-id", "r-1")]).answer(started())),
    ];
    for answer in answers {
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-request-id"]), (503, &"r-1".parse().unwrap()));
    }
    let openai = protocol(ProtocolOptions::default().api(Api::OpenAi));
    let Route::Call(incoming) = route(&openai, "POST", "/v1/completions", &[]) else { panic!("it is a call") };
    let prepared = incoming.body(Bytes::from_static(br#"{"model":"m"}"#)).expect("it is one");
    let (text, whole) = text(wait(prepared.answer(started())));
    assert!(text.starts_with(r#"{"error":{"message":"#) && whole, "{text}");
}
