//! Calls of a Rust host beside plain reading: framed chunks, one value, cancelling from elsewhere.

mod support;

use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::{FusedStream, Stream};
use futures_util::{FutureExt, StreamExt};
use pybridge::{CallOptions, Canceller, CodecSpec, Engine, FailureKind, Format, Framing, Reason, StreamError};
use pyo3::types::PyAnyMethods;
use serde::Deserialize;
use support::{Script, collect, python, run, until};

/// Notes why each call was cancelled.
const SCRIPT: &str = "
import asyncio
begun, reasons = [], {}
async def handler(request, context):
    kind, count = request
    begun.append(context.id)
    try:
        for number in range(count):
            yield {'number': number}
        if kind == 'wait':
            await asyncio.sleep(3600)
        if kind == 'raise':
            raise LookupError('no more')
    except asyncio.CancelledError:
        reasons[context.id] = context.cancel_reason
        raise
";

#[derive(Debug, PartialEq, Deserialize)]
struct Item {
    number: u32,
}

fn body(kind: &str, count: u32) -> Bytes {
    pybridge::codec::to_bytes(Format::Msgpack, &(kind, count)).expect("encodable").into()
}

fn named(id: &str) -> CallOptions {
    CallOptions::default().request_id(id)
}

async fn text(engine: &Engine, request: Bytes, framing: Framing) -> Result<(String, usize), StreamError> {
    let (mut text, mut chunks) = (Vec::new(), 0);
    let mut stream = engine.chunks(request, framing, CallOptions::default())?;
    while let Some(chunk) = stream.next().await {
        text.extend_from_slice(&chunk?);
        chunks += 1;
    }
    Ok((String::from_utf8(text).expect("text"), chunks))
}

/// Guarantee S-20.
#[test]
fn chunks_are_framed_by_the_encoder_and_text_ones_are_json() {
    let engine = Script::new(SCRIPT).engine();
    let json = Script::new(SCRIPT).engine_with(|builder| builder.codec(CodecSpec::json()));
    run(async move {
        for (framing, expected) in [
            (Framing::Sse, "data: {\"number\":0}\n\ndata: {\"number\":1}\n\n"),
            (Framing::Ndjson, "{\"number\":0}\n{\"number\":1}\n"),
        ] {
            for (engine, request) in [(&engine, body("", 2)), (&json, Bytes::from(r#"["",2]"#))] {
                assert_eq!(text(engine, request, framing).await.expect("no failure").0, expected);
            }
        }
        let items: Vec<_> = [0, 1].map(|number| [b"\x81\xa6number".as_slice(), &[number]].concat()).into();
        for (framing, head) in [(Framing::None, &[][..]), (Framing::Length, &[0, 0, 0, 9][..])] {
            let stream = engine.chunks(body("", 2), framing, CallOptions::default()).expect("a place");
            let chunks = collect(stream).await.0.concat();
            assert_eq!(chunks, items.iter().flat_map(|item| [head, item]).flatten().copied().collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_chunk_holds_all_that_crossed_together() {
    let engine = Script::new(SCRIPT).engine();
    let (text, chunks) = run(async move { text(&engine, body("", 500), Framing::Ndjson).await.expect("no failure") });
    assert_eq!(text.lines().count(), 500);
    assert!(chunks < 100, "{chunks} chunks");
}

/// The options of the engine's codec that JSON has as well hold for the text framings of a `MessagePack` engine.
#[test]
fn text_framings_keep_the_default_hook_and_the_keys_of_a_msgpack_codec() {
    let script = Script::new(
        "
from pybridge import MsgpackCodec, PooledEngine
async def handler(request):
    yield {1: 2j}
engine = PooledEngine(handler, codec=MsgpackCodec(default=str, keys='any'), worker='dedicated')
",
    );
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    let found = run(async move { text(&engine, Bytes::from_static(b"\xc0"), Framing::Sse).await.expect("no failure") });
    assert_eq!(found.0, "data: {\"1\":\"2j\"}\n\n");
}

/// Guarantee S-20.
#[test]
fn raw_text_of_two_lines_is_two_fields_of_an_event_and_no_line_of_ndjson() {
    let script = Script::new("async def handler(request):\n    yield 'a\\nb'\n");
    let engine = script.engine_with(|builder| builder.codec(CodecSpec::raw()));
    run(async move {
        let event = text(&engine, Bytes::new(), Framing::Sse).await.expect("no failure").0;
        assert_eq!(event, "data: a\ndata: b\n\n");
        let refused = text(&engine, Bytes::new(), Framing::Ndjson).await.expect_err("two lines");
        assert_eq!(refused.kind(), Some(FailureKind::Encode));
    });
}

/// Guarantee S-03.
#[test]
fn what_is_queued_comes_before_the_failure_and_then_nothing() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let mut chunks = engine.chunks(body("raise", 2), Framing::Ndjson, CallOptions::default()).expect("a place");
        let mut text = Vec::new();
        let error = loop {
            match chunks.next().await.expect("an item or the failure") {
                Ok(chunk) => text.extend_from_slice(&chunk),
                Err(error) => break error,
            }
        };
        assert_eq!(text, b"{\"number\":0}\n{\"number\":1}\n");
        assert_eq!(error.detail().map(|failure| &*failure.class), Some("LookupError"));
        assert!(chunks.is_terminated() && chunks.next().await.is_none());
    });
}

/// Reads a stream to its end and says when it was terminated: before, after each item, after the end.
async fn terminated<T>(mut stream: impl FusedStream<Item = Result<T, StreamError>> + Unpin) -> Vec<bool> {
    let mut seen = vec![stream.is_terminated()];
    while stream.next().await.is_some() {
        seen.push(stream.is_terminated());
    }
    seen.push(stream.is_terminated());
    seen
}

#[test]
fn streams_are_terminated_once_their_ending_is_out() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let options = CallOptions::default;
        assert_eq!(terminated(engine.frames(body("", 1), options()).unwrap()).await, [false, false, true]);
        assert_eq!(terminated(engine.generate::<_, Item>(("", 1), options()).unwrap()).await, [false, false, true]);
        let failing = engine.generate::<_, Item>(("raise", 1), options()).unwrap();
        assert_eq!(terminated(failing).await, [false, false, true, true]);
        assert_eq!(
            terminated(engine.chunks(body("", 1), Framing::Length, options()).unwrap()).await,
            [false, false, true]
        );
    });
}

/// What a dropped stream said, by the request that it was of.
#[test]
fn dropping_a_stream_gives_the_reason_that_was_set_last() {
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    run(async move {
        async fn read_one(mut stream: impl Stream<Item = Result<impl Sized, StreamError>> + Unpin) {
            assert!(stream.next().await.expect("an item").is_ok());
        }
        let wait = || body("wait", 1);
        read_one(engine.frames(wait(), named("as-before")).unwrap()).await;
        read_one(engine.frames(wait(), named("frames")).unwrap().on_drop(Reason::Client)).await;
        read_one(engine.generate::<_, Item>(("wait", 1), named("items")).unwrap().on_drop(Reason::Client)).await;
        let chunks = engine.chunks(wait(), Framing::Sse, named("chunks")).unwrap().on_drop(Reason::Client);
        chunks.canceller().on_drop(Reason::Deadline);
        read_one(chunks).await;
        until(|| engine.live() == 0).await;
    });
    let expected = "{'as-before': 'caller', 'frames': 'client', 'items': 'client', 'chunks': 'deadline'}";
    assert_eq!(script.eval("reasons"), expected);
}

#[test]
fn a_stream_dropped_before_its_first_item_gives_its_reason_too() {
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    run(async move {
        let mut chunks = engine.chunks(body("wait", 0), Framing::Sse, named("early")).unwrap().on_drop(Reason::Client);
        assert!(chunks.next().now_or_never().is_none());
        until(|| script.eval("begun") == "['early']").await;
        drop(chunks);
        until(|| engine.live() == 0).await;
        assert_eq!(script.eval("reasons"), "{'early': 'client'}");
    });
}

#[test]
fn a_canceller_stops_its_call_from_another_task_and_no_other() {
    fn can_go_anywhere<T: Clone + Send + Sync + 'static>(value: T) -> T {
        value
    }
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let mut stopped = engine.generate::<_, Item>(("wait", 1), named("r-1")).expect("a place");
        let mut other = engine.generate::<_, Item>(("wait", 1), named("r-2")).expect("a place");
        let canceller = can_go_anywhere(stopped.canceller());
        assert_eq!((canceller.request_id(), other.request_id().as_str()), ("r-1", "r-2"));
        assert!(stopped.next().await.expect("an item").is_ok());
        assert!(other.next().await.expect("an item").is_ok());
        let clone = canceller.clone();
        tokio::spawn(async move { clone.cancel(Reason::Client) });
        assert!(matches!(stopped.next().await, Some(Err(StreamError::Cancelled(Reason::Client)))));
        canceller.cancel(Reason::Shutdown);
        assert!(stopped.next().await.is_none());
        assert!(other.next().now_or_never().is_none(), "it goes on");
    });
}

#[test]
fn a_canceller_keeps_nothing_of_its_stream() {
    let engine = Script::new(SCRIPT).engine();
    let canceller: Canceller = run(async move {
        let stream = engine.frames(body("wait", 1), CallOptions::default()).expect("a place");
        let canceller = stream.canceller();
        drop(stream);
        until(|| engine.live() == 0).await;
        canceller
    });
    canceller.cancel(Reason::Client);
    canceller.on_drop(Reason::Client);
    assert!(canceller.request_id().starts_with("pb-"));
}

/// Guarantee H-05.
#[test]
fn a_call_is_the_one_item_of_a_handler_of_either_kind() {
    let unary = Script::new("async def handler(request):\n    return sum(request)\n");
    let unary = unary.engine_with(|builder| builder.unary(true));
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        assert_eq!(unary.call::<_, u64>([1, 2, 3], CallOptions::default()).await.expect("a sum"), 6);
        let item: Item = engine.call(("", 1), CallOptions::default()).await.expect("an item");
        assert_eq!(item, Item { number: 0 });
    });
}

#[test]
fn a_call_of_a_handler_that_gives_none_or_several_items_says_how_many() {
    let engine = Script::new(SCRIPT).engine_with(|builder| builder.name("chat"));
    assert_eq!(engine.name(), "chat");
    run(async move {
        for (kind, count, expected) in
            [("", 0, "no item"), ("", 2, "more than one item"), ("wait", 2, "more than one item")]
        {
            let error = engine.call::<_, Item>((kind, count), CallOptions::default()).await.expect_err("not one");
            let StreamError::Response(failure) = error else { panic!("{error:?}") };
            assert_eq!(failure.message, format!("chat gave {expected} where call() takes one"));
        }
        until(|| engine.live() == 0).await;
    });
}

/// Guarantee H-05.
#[test]
fn a_call_fails_as_its_handler_does_before_and_after_the_item() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        for count in [0, 1] {
            let error = engine.call::<_, Item>(("raise", count), CallOptions::default()).await.expect_err("it raises");
            assert_eq!(error.detail().map(|failure| &*failure.class), Some("LookupError"));
        }
        let error = engine.call::<_, u32>(("", 1), CallOptions::default()).await.expect_err("it is no number");
        assert!(matches!(&error, StreamError::Response(failure) if !failure.message.contains("gave")), "{error:?}");
    });
}

#[test]
fn dropping_a_call_cancels_its_handler() {
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    run(async move {
        {
            let mut call = pin!(engine.call::<_, Item>(("wait", 1), named("r-1")));
            assert!(call.as_mut().now_or_never().is_none());
            until(|| script.eval("begun") == "['r-1']").await;
        }
        until(|| engine.live() == 0).await;
        assert_eq!(script.eval("reasons"), "{'r-1': 'caller'}");
    });
}
