//! Statistics and the orderly end of a Rust host's engines.

mod support;

use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use pybridge::{CallOptions, Drained, Engine, FailureKind, FlowConfig, ItemStream, Reason, StreamError, metrics_text};
use pyo3::types::PyAnyMethods;
use support::{Script, collect, python, run, spawn, until};
use tokio::runtime::Builder;

const SCRIPT: &str = "
import asyncio, threading
gate = threading.Event()
async def handler(request):
    kind, count = request
    for number in range(count):
        yield number
    if kind == 'gate':
        await asyncio.get_running_loop().run_in_executor(None, gate.wait)
    if kind == 'wait':
        await asyncio.sleep(3600)
    if kind == 'raise':
        raise LookupError('no more')
";

fn engine(name: &str) -> Engine {
    Script::new(SCRIPT).engine_with(|builder| builder.name(name))
}

/// The value of the one sample that begins with `sample`.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

/// Guarantee E-20.
#[test]
fn stats_count_streams_by_ending_items_and_failures_by_class() {
    let engine = engine("counted");
    let stats = run(async move {
        let call = |kind: &'static str, count: u32| {
            collect(engine.generate::<_, u32>((kind, count), CallOptions::default()).expect("a place"))
        };
        call("", 3).await;
        call("raise", 1).await;
        let mut dropped = engine.generate::<_, u32>(("wait", 1), CallOptions::default()).expect("a place");
        dropped.next().await.expect("an item").expect("no failure");
        drop(dropped);
        until(|| engine.stats().streams.cancelled[&Reason::Caller] == 1).await;
        engine.stats()
    });
    let streams = &stats.streams;
    assert_eq!((streams.started, streams.live, streams.finished, streams.raised), (3, 0, 1, 1));
    assert_eq!(streams.cancelled.keys().copied().collect::<Vec<_>>(), Reason::ALL);
    assert_eq!((stats.frames, stats.bytes), (5, 5));
    assert_eq!(stats.errors.iter().map(|(class, &count)| (&**class, count)).collect::<Vec<_>>(), [("LookupError", 1)]);
    assert_eq!(stats.first_item_seconds.counts.iter().sum::<u64>(), 3);
    assert_eq!(stats.first_item_seconds.counts.len(), stats.first_item_seconds.bounds.len());
    assert!(stats.workers.iter().any(|worker| worker.kind == "dedicated"), "{:?}", stats.workers);
    assert_eq!(stats.flow.in_flight_bytes, 0);
}

#[test]
fn metrics_show_engines_that_the_builder_made() {
    let engine = engine("built");
    let before = metrics_text();
    assert_eq!(value(&before, r#"pybridge_streams_started_total{engine="built"}"#), Some(0.0));
    let caller = engine.clone();
    let text = run(async move {
        let engine = caller;
        collect(engine.generate::<_, u32>(("", 7), CallOptions::default()).expect("a place")).await;
        until(|| engine.stats().streams.finished == 1).await;
        metrics_text()
    });
    assert_eq!(value(&text, r#"pybridge_frames_total{engine="built"}"#), Some(7.0));
    let ended = r#"pybridge_streams_ended_total{engine="built",ending="finished",reason=""}"#;
    assert_eq!(value(&text, ended), Some(1.0));
    assert!(value(&text, r#"pybridge_pool_live_bytes{pool="shared"}"#).is_some());
    assert!(value(&text, "pybridge_memory_resident_bytes") > Some(1e6));
    let python =
        python(|py| py.import("pybridge").unwrap().call_method0("metrics_text").unwrap().extract::<String>().unwrap());
    let names = |text: &str| text.lines().filter(|line| line.starts_with("# ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&python).len() % 2, 0);
    assert!(names(&text).iter().all(|line| names(&python).contains(line)), "{text}");
    drop(engine);
}

/// The test's thread holds the interpreter all the time.
#[test]
fn stats_and_metrics_need_no_interpreter() {
    let engine = engine("alone");
    let (sender, receiver) = mpsc::channel();
    let text = python(|_| {
        spawn(async move {
            sender.send((engine.stats().streams.started, metrics_text())).expect("the test waits");
        });
        receiver.recv_timeout(Duration::from_secs(10)).expect("no thread waits for the interpreter")
    });
    assert_eq!(text.0, 0);
    assert!(text.1.contains(r#"engine="alone""#));
}

#[test]
fn blocks_of_pythons_allocator_are_those_that_a_worker_counted_last() {
    let engine = engine("blocks");
    run(async move {
        collect(engine.generate::<_, u32>(("", 1), CallOptions::default()).expect("a place")).await;
        until(|| value(&metrics_text(), "pybridge_python_blocks") > Some(10_000.0)).await;
    });
}

/// A call whose handler runs: its first item is out.
async fn live(engine: &Engine, kind: &str) -> ItemStream<u32> {
    let mut stream = engine.generate::<_, u32>((kind, 1), CallOptions::default()).expect("a place");
    stream.next().await.expect("an item").expect("no failure");
    stream
}

fn of(drained: Drained) -> (usize, usize) {
    (drained.finished, drained.cancelled)
}

#[test]
fn drain_takes_no_new_calls_and_ends_as_soon_as_the_live_ones_have() {
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    run(async move {
        let (one, other) = (live(&engine, "gate").await, live(&engine, "gate").await);
        let mut drain = pin!(engine.drain(Duration::from_secs(3600)));
        assert!(drain.as_mut().now_or_never().is_none(), "two are live");
        let refused = engine.frames(&b"\xc0"[..], CallOptions::default()).expect_err("no new calls");
        assert_eq!(refused.kind(), Some(FailureKind::Closed));
        script.eval("gate.set()");
        assert_eq!(of(drain.await), (2, 0));
        for stream in [one, other] {
            assert!(collect(stream).await.1.is_none());
        }
    });
}

#[test]
fn drain_cuts_off_what_is_left_when_its_time_is_over_and_says_how_much() {
    let script = Script::new(SCRIPT);
    let engine = script.engine_with(|builder| builder.flow(FlowConfig::default().max_concurrency(3)));
    run(async move {
        let begun = [live(&engine, "wait").await, live(&engine, "wait").await];
        let broken_off = live(&engine, "gate").await;
        let waiting = engine.generate::<_, u32>(("wait", 1), CallOptions::default()).expect("a place in the queue");
        broken_off.cancel(Reason::Client);
        assert_eq!(of(engine.drain(Duration::ZERO).await), (1, 3));
        assert_eq!(engine.live(), 0);
        for stream in begun.into_iter().chain([waiting]) {
            let ending = collect(stream).await.1;
            assert!(matches!(ending, Some(StreamError::Cancelled(Reason::Shutdown))), "{ending:?}");
        }
        assert_eq!(of(engine.drain(Duration::ZERO).await), (0, 0), "it was drained before");
    });
    script.eval("gate.set()");
}

#[test]
fn drain_needs_no_timers_of_the_runtime_that_awaits_it() {
    let engine = engine("bare");
    let stream = run({
        let engine = engine.clone();
        async move { live(&engine, "wait").await }
    });
    let bare = Builder::new_current_thread().build().expect("no threads are needed");
    assert_eq!(of(bare.block_on(engine.drain(Duration::from_millis(1)))), (0, 1));
    drop(stream);
}
