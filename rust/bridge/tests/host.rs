//! Streams of handlers as a Rust host reads them.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use pybridge::codec::Format;
use pybridge::{Annotated, CallOptions, CodecSpec, Engine, FlowConfig, Frame, PoolConfig, Reason, StreamError};
use pyo3::types::PyAnyMethods;
use serde::{Deserialize, Serialize};
use support::{HOST_THREAD, Script, collect, python, run, spawn, until};

#[derive(Serialize)]
struct Request {
    count: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Item {
    number: u32,
}

const COUNT: &str = "
async def handler(request):
    for number in range(request['count']):
        yield {'number': number}
";

/// Yields once, then waits; notes how it ends.
const PARKED: &str = "
import asyncio
notes = []
async def handler(request):
    try:
        yield {'number': 7}
        await asyncio.sleep(3600)
    except BaseException as error:
        notes.append(type(error).__name__)
        raise
    finally:
        notes.append('finally')
";

fn numbers(count: u32) -> Vec<Item> {
    (0..count).map(|number| Item { number }).collect()
}

/// Guarantee S-01.
#[test]
fn frames_come_in_order_each_with_one_encoded_item() {
    let engine = Script::new(COUNT).engine_with(|builder| builder.codec(CodecSpec::json()));
    let (frames, ending) = run(async move {
        let stream = engine.frames(&br#"{"count": 3}"#[..], CallOptions::default()).expect("a place");
        collect(stream).await
    });
    assert!(ending.is_none(), "{ending:?}");
    let texts: Vec<&[u8]> = frames.iter().map(|frame: &Frame| &**frame).collect();
    assert_eq!(texts, [&br#"{"number":0}"#[..], br#"{"number":1}"#, br#"{"number":2}"#]);
}

#[test]
fn items_are_typed_values() {
    let engine = Script::new(COUNT).engine();
    let (items, ending) = run(async move {
        collect(engine.generate::<_, Item>(Request { count: 3 }, CallOptions::default()).expect("a place")).await
    });
    assert!(ending.is_none(), "{ending:?}");
    assert_eq!(items, numbers(3));
}

#[test]
fn annotated_items_carry_id_event_comments_and_error() {
    let script = Script::new(
        "
async def handler(request):
    yield {'comments': ['soon'], 'id': '7'}
    yield {'event': 'number', 'data': {'number': 1}}
    yield {'error': 'skipped'}
",
    );
    let engine = script.engine();
    let (items, _) = run(async move {
        collect(engine.generate::<_, Annotated<Item>>((), CallOptions::default()).expect("a place")).await
    });
    let [first, second, third] = <[Annotated<Item>; 3]>::try_from(items).expect("three");
    assert_eq!((first.comments, first.id.as_deref(), first.data), (Some(vec!["soon".to_owned()]), Some("7"), None));
    assert_eq!((second.event.as_deref(), second.data), (Some("number"), Some(Item { number: 1 })));
    assert_eq!((third.error.as_deref(), third.event), (Some("skipped"), None));
}

#[test]
fn an_item_with_none_of_the_fields_is_no_annotated_item() {
    let engine = Script::new(COUNT).engine();
    let (items, ending) = run(async move {
        let request = Request { count: 1 };
        collect(engine.generate::<_, Annotated<Item>>(request, CallOptions::default()).expect("a place")).await
    });
    assert!(items.is_empty());
    let Some(StreamError::Response(failure)) = ending else { panic!("{ending:?}") };
    assert!(failure.message.contains("none of data, id, event, comments and error"), "{failure:?}");
}

#[test]
fn batches_hold_the_frames_that_crossed_together() {
    let engine = Script::new(COUNT).engine();
    let (crossings, frames) = run(async move {
        let request = Request { count: 500 };
        let body = pybridge::codec::to_bytes(Format::Msgpack, &request).expect("encodable");
        let mut stream = engine.frames(body, CallOptions::default()).expect("a place");
        let (mut crossings, mut frames) = (0, 0);
        while let Some(batch) = stream.next_batch().await {
            crossings += 1;
            frames += batch.expect("no failure").frames();
        }
        (crossings, frames)
    });
    assert_eq!(frames, 500);
    assert!(crossings < 100, "{crossings} batches");
}

/// Guarantee S-17.
#[test]
fn fast_turns_cross_together() {
    let script = Script::new(
        "
import asyncio
from pybridge import PooledEngine
async def handler(request):
    for number in range(2000):
        await asyncio.sleep(0)
        yield {'number': number}
engine = PooledEngine(handler)
",
    );
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    let (items, ending) =
        run(async move { collect(engine.generate::<_, Item>((), CallOptions::default()).expect("a place")).await });
    assert!(ending.is_none(), "{ending:?}");
    assert_eq!(items, numbers(2000));
    let crossings: u32 = script.eval("engine.stats().crossings").parse().expect("a number");
    assert!(crossings < 1500, "{crossings} crossings");
}

/// What fast turns keep back leaves when there is no next one.
/// Guarantee S-15.
#[test]
fn an_item_of_a_fast_turn_leaves_before_the_loop_waits() {
    let script = Script::new(
        "
import asyncio
async def handler(request):
    for number in range(20):
        yield {'number': number}
        await asyncio.sleep(0)
    await asyncio.Event().wait()
",
    );
    let engine = script.engine();
    run(async move {
        let items = engine.generate::<_, Item>((), CallOptions::default()).expect("a place");
        let seen: Vec<_> = items.take(20).map(|item| item.expect("no failure")).collect().await;
        assert_eq!(seen, numbers(20));
    });
}

/// Guarantee S-16.
#[test]
fn an_item_before_a_handler_blocks_arrives_while_it_does() {
    let script = Script::new(
        "
import threading
seen = threading.Event()
async def handler(request):
    yield {'number': 1}
    assert seen.wait(10), 'the item waited behind the handler'
    yield {'number': 2}
",
    );
    let engine = script.engine();
    run(async move {
        let mut items = engine.generate::<_, Item>((), CallOptions::default()).expect("a place");
        assert_eq!(items.next().await.expect("an item").expect("no failure"), Item { number: 1 });
        script.eval("seen.set()");
        let (rest, ending) = collect(items).await;
        assert!(ending.is_none(), "{ending:?}");
        assert_eq!(rest, [Item { number: 2 }]);
    });
}

/// Guarantee C-01.
#[test]
fn dropping_a_stream_cancels_the_handler_whose_cleanup_runs() {
    let script = Script::new(PARKED);
    let engine = script.engine();
    run(async move {
        let mut items = engine.generate::<_, Item>((), CallOptions::default()).expect("a place");
        assert_eq!(items.next().await.expect("an item").expect("no failure"), Item { number: 7 });
        drop(items);
        until(|| engine.live() == 0).await;
    });
    assert_eq!(script.eval("notes"), "['CancelledError', 'finally']");
}

#[test]
fn cancel_delivers_what_is_queued_then_the_reason() {
    let engine = Script::new(PARKED).engine();
    let (items, ending) = run(async move {
        let stream = engine.frames(&b"\xc0"[..], CallOptions::default()).expect("a place");
        until(|| engine.live() == 1).await;
        let mut stream = stream.peekable();
        std::pin::Pin::new(&mut stream).peek().await;
        stream.get_ref().cancel(Reason::Client);
        collect(stream).await
    });
    assert_eq!(items.len(), 1);
    assert!(matches!(ending, Some(StreamError::Cancelled(Reason::Client))), "{ending:?}");
}

/// Guarantee H-10.
#[test]
fn options_reach_the_handlers_context() {
    let script = Script::new(
        "
async def handler(request, context):
    yield [context.id, context.metadata['tenant'], context.metadata['zone'], context.traceparent, context.tracestate]
",
    );
    let engine = script.engine();
    let options = CallOptions::default()
        .request_id("r-1")
        .metadata(HashMap::from([("tenant".into(), "red".into()), ("zone".into(), "b".into())]))
        .metadata_entry("tenant", "blue")
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .tracestate("vendor=1");
    let (items, ending) =
        run(async move { collect(engine.generate::<_, [String; 5]>((), options).expect("a place")).await });
    assert!(ending.is_none(), "{ending:?}");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(items, [["r-1", "blue", "b", trace, "vendor=1"]]);
}

/// Guarantees F-04, F-05.
#[test]
fn timeouts_name_their_reason() {
    let engine = Script::new(PARKED).engine();
    let soon = Duration::from_millis(20);
    for (options, reason) in [
        (CallOptions::default().timeout(soon), Reason::Deadline),
        (CallOptions::default().idle_timeout(soon), Reason::Idle),
    ] {
        let engine = engine.clone();
        let (items, ending) =
            run(async move { collect(engine.generate::<_, Item>((), options).expect("a place")).await });
        assert!(items.len() <= 1, "{items:?}");
        assert!(matches!(ending, Some(StreamError::Cancelled(found)) if found == reason), "{ending:?}");
    }
}

/// Guarantee F-01.
#[test]
fn a_reader_that_stops_makes_the_handler_wait_and_loses_nothing() {
    let script = Script::new(
        "
made = 0
async def handler(request):
    global made
    for made in range(1, request['count'] + 1):
        yield {'number': made - 1}
",
    );
    let flow = FlowConfig::default().high_water_items(32).batch_items(8);
    let engine = script.engine_with(|builder| builder.flow(flow));
    let (sender, receiver) = mpsc::channel();
    spawn(async move {
        let mut stream = engine.generate::<_, Item>(Request { count: 1_000 }, CallOptions::default()).unwrap();
        let first = stream.next().await.unwrap().unwrap();
        sender.send((first, stream)).unwrap();
    });
    let (first, stream) = receiver.recv().expect("an item");
    let made: u32 = script.eval("made").parse().expect("a number");
    assert!(made < 200, "{made} items were made with one taken");
    let (rest, ending) = run(collect(stream));
    assert!(ending.is_none(), "{ending:?}");
    assert_eq!(std::iter::once(first).chain(rest).collect::<Vec<_>>(), numbers(1_000));
}

/// The test's thread holds the interpreter all the time: whoever needs it on the way of an item stands still.
/// Guarantee P-14.
#[test]
fn consuming_and_dropping_need_no_interpreter() {
    let script = Script::new(
        "
import threading
done = threading.Event()
async def handler(request):
    for number in range(request['count']):
        yield {'number': number}
    done.set()
",
    );
    let engine = script.engine();
    let (begin, wait_for_begin) = tokio::sync::oneshot::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    spawn(async move {
        let items = engine.generate::<_, Item>(Request { count: 500 }, CallOptions::default()).expect("a place");
        wait_for_begin.await.expect("the test goes on");
        let result = collect(items).await;
        drop(engine);
        sender.send(result).expect("the test waits");
    });
    script.eval("done.wait(10)");
    let (items, ending) = python(|_| {
        begin.send(()).expect("the task waits");
        receiver.recv_timeout(Duration::from_secs(10)).expect("no thread waits for the interpreter")
    });
    assert!(ending.is_none(), "{ending:?}");
    assert_eq!(items, numbers(500));
}

/// Ticks of the runtime in [`hold_the_interpreter`], which a handler calls as C code that keeps the interpreter.
static TICKS: AtomicU32 = AtomicU32::new(0);
/// The handler is inside [`hold_the_interpreter`].
static HELD: AtomicBool = AtomicBool::new(false);

/// Returns the ticks that came while it kept the interpreter: 100 unless they failed to come.
extern "C" fn hold_the_interpreter() -> u32 {
    let begun = Instant::now();
    TICKS.store(0, Ordering::SeqCst);
    HELD.store(true, Ordering::SeqCst);
    while TICKS.load(Ordering::SeqCst) < 100 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    HELD.store(false, Ordering::SeqCst);
    TICKS.load(Ordering::SeqCst).min(100)
}

/// For half a second the handler keeps the interpreter, and the runtime's threads still turn while streams begin, are
/// read, are cancelled and dropped.
/// Guarantee P-14.
#[test]
fn runtime_goes_on_while_a_c_call_of_the_handler_keeps_the_interpreter() {
    let script = Script::new(&format!(
        "
import ctypes
hold = ctypes.PYFUNCTYPE(ctypes.c_uint32)({address})
async def handler(request):
    for number in range(request['count']):
        yield {{'number': number}}
    if not request['count']:
        yield {{'number': hold()}}
",
        address = hold_the_interpreter as *const () as usize
    ));
    let engine = script.engine();
    let ticks = run(async move {
        let ready = engine.generate::<_, Item>(Request { count: 50 }, CallOptions::default()).expect("a place");
        let mut dropped = engine.generate::<_, Item>(Request { count: 50 }, CallOptions::default()).expect("a place");
        dropped.next().await.expect("an item").expect("no failure");
        let ticker = tokio::spawn(async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                TICKS.fetch_add(1, Ordering::SeqCst);
            }
        });
        let holding = engine.generate::<_, Item>(Request { count: 0 }, CallOptions::default()).expect("a place");
        until(|| HELD.load(Ordering::SeqCst)).await;
        drop(dropped);
        let mut begun = Vec::new();
        for number in 0..64 {
            let timeout = Some(Duration::from_millis(1)).filter(|_| number % 4 == 0);
            let options = CallOptions::default().timeout(timeout);
            let call = engine.generate::<_, Item>(Request { count: 5 }, options).expect("a place");
            match number % 4 {
                1 => drop(call),
                2 => call.cancel(Reason::Client),
                _ => begun.push(call),
            }
        }
        assert_eq!(collect(ready).await.0, numbers(50));
        let held = collect(holding).await.0;
        ticker.abort();
        for call in begun {
            let (items, ending) = collect(call).await;
            assert!(matches!(ending, None | Some(StreamError::Cancelled(Reason::Deadline))), "{ending:?}");
            assert!(ending.is_some() || items == numbers(5), "{items:?}");
        }
        until(|| engine.live() == 0).await;
        held
    });
    assert_eq!(ticks, [Item { number: 100 }]);
}

/// Guarantees S-01, P-14.
#[test]
fn many_streams_at_once_are_exact_and_no_runtime_thread_attaches() {
    let script = Script::new(&format!("{COUNT}\nfrom pybridge import PooledEngine\nengine = PooledEngine(handler)\n"));
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    run(async move {
        let calls = (0..64).map(|extra| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let request = Request { count: 200 + extra };
                let (items, ending) =
                    collect(engine.generate::<_, Item>(request, CallOptions::default()).expect("a place")).await;
                assert!(ending.is_none(), "{ending:?}");
                assert_eq!(items, numbers(200 + extra));
            })
        });
        for call in join_all(calls).await {
            call.expect("exact");
        }
    });
    let attaches = script.eval("engine.stats().attaches");
    assert!(attaches.contains("pybridge-worker") && !attaches.contains(HOST_THREAD), "{attaches}");
}

#[test]
fn clones_keep_the_engine_when_its_python_object_is_gone() {
    let script = Script::new(COUNT);
    let engine = script.engine_with(|builder| builder.pool(PoolConfig::default()));
    let clone = engine.clone();
    drop((script, engine));
    python(|py| py.import("gc").and_then(|gc| gc.call_method0("collect")).map(drop)).expect("collects");
    let (items, ending) = run(async move {
        collect(clone.generate::<_, Item>(Request { count: 2 }, CallOptions::default()).expect("a place")).await
    });
    assert!(ending.is_none(), "{ending:?}");
    assert_eq!(items, numbers(2));
}

/// A Python consumer whose loop stands still, on a thread that the host has detached meanwhile.
#[test]
fn closed_on_a_detached_thread_an_engine_wakes_the_consumers_of_its_loop() {
    let script = Script::new(&format!(
        "{COUNT}
import asyncio
from pybridge import FlowConfig, PooledEngine
engine = PooledEngine(handler, worker='dedicated', flow=FlowConfig(max_concurrency=1, high_water_items=1))
loop = asyncio.new_event_loop()
async def first():
    holder = engine({{'count': 100}})
    await holder.__aenter__()
    return holder
async def wait():
    try:
        await anext(engine({{'count': 1}}))
    except Exception as error:
        return str(error)
holder = loop.run_until_complete(first())
waiting = loop.create_task(wait())
while not engine.stats().streams.queued:
    loop.run_until_complete(asyncio.sleep(0))
"
    ));
    assert_eq!(script.eval("engine.stats().streams.queued"), "1");
    let engine = python(|py| Engine::of(&script.module(py).getattr("engine").expect("defined")).expect("an engine"));
    engine.close();
    assert!(script.eval("loop.run_until_complete(waiting)").contains("shutdown"));
    script.eval("loop.close()");
}
