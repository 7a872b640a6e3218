//! Servers' uses of an engine: formats chosen by call, chunks at an interval, bodies in pieces, failures found by consumers.

mod support;

use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use pybridge::{CallOptions, CodecSpec, Failure, FailureKind, Format, Framing, PoolConfig, Reason, StreamError};
use support::{Script, collect, run};

/// An interval that no test waits for.
const LONG: Duration = Duration::from_secs(600);

const SCRIPT: &str = "
import asyncio
class Money:
    pass
async def handler(request):
    for number in range(request['count']):
        await asyncio.sleep(0)
        yield {'number': number}
    if request.get('money'):
        yield Money()
    if request.get('raise'):
        raise LookupError('no more')
";

const JSON: &[u8] = br#"{"count": 2}"#;
const MSGPACK: &[u8] = b"\x81\xa5count\x02";

fn formats(encoded: impl Into<Option<Format>>, codec: impl Into<Option<Format>>) -> CallOptions {
    CallOptions::default().encoded(encoded).codec(codec)
}

#[test]
fn a_call_names_the_formats_of_its_request_and_of_its_items() {
    let msgpack = Script::new(SCRIPT).engine();
    let json = Script::new(SCRIPT).engine_with(|builder| builder.codec(CodecSpec::json()));
    assert_eq!((msgpack.profile().format, msgpack.profile().unary), (Format::Msgpack, false));
    run(async move {
        let as_json: [&[u8]; 2] = [br#"{"number":0}"#, br#"{"number":1}"#];
        let as_msgpack: [&[u8]; 2] = [b"\x81\xa6number\x00", b"\x81\xa6number\x01"];
        for (engine, request, options, expected) in [
            (&msgpack, JSON, formats(Format::Json, None), as_msgpack),
            (&msgpack, JSON, formats(Format::Json, Format::Json), as_json),
            (&msgpack, MSGPACK, formats(Format::Msgpack, Format::Msgpack), as_msgpack),
            (&json, MSGPACK, formats(Format::Msgpack, None), as_json),
            (&json, MSGPACK, formats(Format::Msgpack, Format::Msgpack), as_msgpack),
            (&json, JSON, formats(None, Format::Msgpack), as_msgpack),
        ] {
            let (frames, ending) = collect(engine.frames(request, options.clone()).expect("a place")).await;
            assert_eq!(frames.iter().map(|frame| &**frame).collect::<Vec<_>>(), expected, "{options:?}");
            assert!(ending.is_none(), "{ending:?}");
        }
        let wrong = json.frames(MSGPACK, formats(None, None)).expect("a place");
        let (_, ending) = collect(wrong).await;
        assert_eq!(ending.and_then(|error| error.kind()), Some(FailureKind::Decode));
        let binary = json.chunks(JSON, Framing::Sse, formats(None, Format::Msgpack));
        assert_eq!(binary.expect_err("it is binary").kind(), Some(FailureKind::InvalidArgument));
    });
}

#[test]
fn values_are_serialised_and_read_in_the_formats_of_the_call() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let request = serde_json::json!({"count": 1});
        let items =
            engine.generate::<_, serde_json::Value>(request, formats(Format::Json, Format::Json)).expect("a place");
        assert_eq!(collect(items).await.0, [serde_json::json!({"number": 0})]);
    });
}

#[test]
fn chunks_leave_once_an_interval_but_for_the_first_and_the_end() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        for (request, fails) in [(&br#"{"count": 3000}"#[..], false), (br#"{"count": 3000, "raise": true}"#, true)] {
            let options = formats(Format::Json, None);
            let chunks = engine.chunks(request, Framing::Ndjson, options).expect("a place").flush_interval(LONG);
            let (chunks, ending) = collect(chunks).await;
            assert!(chunks.len() <= 2, "{} chunks", chunks.len());
            let lines: Vec<String> = (0..3000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
            assert_eq!(chunks.concat(), lines.concat().into_bytes());
            assert_eq!(ending.is_some(), fails);
        }
    });
}

#[test]
fn at_most_one_chunk_leaves_in_each_interval_of_the_clock() {
    let interval = Duration::from_millis(20);
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let options = formats(Format::Json, None);
        let mut chunks = engine
            .chunks(&br#"{"count": 20000}"#[..], Framing::Ndjson, options)
            .expect("a place")
            .flush_interval(interval);
        let started = Instant::now();
        let mut times = Vec::new();
        while let Some(chunk) = chunks.next().await {
            drop(chunk.expect("no failure"));
            times.push(started.elapsed());
        }
        times.pop(); // the end leaves at once
        // The first one leaves at once, the second nearly an interval later.
        let least = (0..).map(|number: u32| interval * number.saturating_sub(1));
        assert!(times.iter().zip(least).all(|(time, least)| *time >= least), "{times:?}");
    });
}

#[test]
fn batches_have_the_place_of_each_frame_with_its_framing() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        for interval in [Duration::ZERO, LONG] {
            let options = formats(Format::Json, None);
            let mut chunks = engine
                .chunks(&br#"{"count": 200}"#[..], Framing::Sse, options)
                .expect("a place")
                .flush_interval(interval);
            let mut frames = Vec::new();
            while let Some(batch) = std::future::poll_fn(|context| chunks.poll_batch(context)).await {
                let batch = batch.expect("no failure");
                let ranges = (0..batch.frames()).filter_map(|index| batch.range(index));
                frames.extend(ranges.map(|range| batch.bytes()[range].to_vec()));
            }
            let expected: Vec<_> =
                (0..200).map(|number| format!("data: {{\"number\":{number}}}\n\n").into_bytes()).collect();
            assert_eq!(frames, expected);
            let again = std::future::poll_fn(|context| Poll::Ready(chunks.poll_batch(context))).await;
            assert!(matches!(again, Poll::Ready(None)), "it stays at its end");
        }
    });
}

#[test]
fn a_stream_of_chunks_knows_how_many_items_it_has_given() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        for interval in [Duration::ZERO, LONG] {
            let options = formats(Format::Json, None);
            let chunks = engine.chunks(&br#"{"count": 3000}"#[..], Framing::Ndjson, options).expect("a place");
            let mut chunks = chunks.flush_interval(interval);
            let mut lines = 0;
            while let Some(chunk) = chunks.next().await {
                lines += chunk.expect("no failure").split(|byte| *byte == b'\n').count() as u64 - 1;
                assert_eq!(chunks.items(), lines);
            }
            assert_eq!((lines, chunks.cancel_reason()), (3000, None));
        }
    });
}

#[test]
fn a_stream_knows_why_it_was_stopped() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let options = formats(Format::Json, None);
        let chunks = engine.chunks(&br#"{"count": 100000000}"#[..], Framing::Ndjson, options).expect("a place");
        assert_eq!(chunks.cancel_reason(), None);
        chunks.cancel(Reason::Deadline);
        chunks.cancel(Reason::Client);
        assert_eq!(chunks.cancel_reason(), Some(Reason::Deadline), "the first one stands");
    });
}

#[test]
fn a_canceller_tells_when_the_handler_has_ended() {
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let options = formats(Format::Json, None);
        let mut chunks = engine.chunks(&br#"{"count": 100000000}"#[..], Framing::Ndjson, options).expect("a place");
        let canceller = chunks.canceller();
        assert!(chunks.next().await.is_some());
        let ended = std::future::poll_fn(|context| Poll::Ready(canceller.poll_ended(context))).await;
        assert!(ended.is_pending());
        canceller.cancel(Reason::Client);
        std::future::poll_fn(|context| canceller.poll_ended(context)).await;
        drop(chunks);
        std::future::poll_fn(|context| canceller.poll_ended(context)).await;
    });
}

#[test]
fn a_body_in_pieces_lies_in_the_pool_and_keeps_to_its_bounds() {
    let pool = PoolConfig::default().max_live_bytes(4 << 20);
    let engine = Script::new(SCRIPT).engine_with(|builder| builder.pool(pool));
    run(async move {
        let mut body = engine.request_body(None, 100).expect("no length is announced");
        assert!(body.is_empty());
        for piece in JSON.chunks(5) {
            body.push(piece).expect("it fits");
        }
        assert_eq!(body.len(), JSON.len());
        assert_eq!(body.push(&[b' '; 100]).expect_err("it is too long").kind(), Some(FailureKind::TooLarge));
        let frames = engine.frames(body.finish(), formats(Format::Json, None)).expect("a place");
        assert_eq!(collect(frames).await.0.len(), 2, "the body is as it was before the piece that did not fit");
        assert_eq!(engine.request_body(Some(101), 100).expect_err("too long").kind(), Some(FailureKind::TooLarge));
        let mut bodies: Vec<Bytes> = Vec::new();
        let refused = loop {
            let mut body = engine.request_body(None, 1 << 20).expect("no length is announced");
            if let Err(error) = body.push(&vec![b' '; 1 << 20]) {
                break error;
            }
            bodies.push(body.finish());
        };
        assert_eq!(refused.kind(), Some(FailureKind::PoolExhausted));
        assert!(!bodies.is_empty());
    });
}

#[test]
fn what_a_consumer_refuses_is_told_of_once_as_a_failure_of_the_handlers() {
    let (told, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let engine = Script::new(SCRIPT).engine_with(|builder| {
        builder.on_failure(move |id, failure| drop(told.send((id.to_owned(), failure.message.clone()))))
    });
    run(async move {
        let options = formats(Format::Json, None).request_id("r-1");
        let mut chunks = engine.chunks(&br#"{"count": 100000000}"#[..], Framing::Ndjson, options).expect("a place");
        assert!(chunks.next().await.is_some());
        let failure = Failure::new(FailureKind::Handler, "ValueError", "no item of ours");
        let error = chunks.fail(StreamError::Failed(Box::new(failure)));
        assert_eq!(error.kind(), Some(FailureKind::Handler));
        assert_eq!(failures.recv().await, Some(("r-1".to_owned(), "no item of ours".to_owned())));
        let (_, ending) = collect(chunks).await;
        assert!(ending.is_some_and(|error| error.is_cancelled()));
        assert!(failures.try_recv().is_err(), "the cancellation is no failure");
    });
}
