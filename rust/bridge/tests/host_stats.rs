//! What a Rust host learns of its engines, and how it ends them.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use futures_util::StreamExt;
use pybridge::{CallOptions, Engine, Reason, metrics_text};
use support::{Script, collect, python, run, setting, spawn, until};

const SCRIPT: &str = "
import asyncio
async def handler(request):
    kind, count = request
    for number in range(count):
        yield number
    if kind == 'wait':
        await asyncio.sleep(3600)
    if kind == 'raise':
        raise LookupError('no more')
";

fn engine(name: &str) -> Engine {
    Script::new(SCRIPT).engine_with(|py, builder| builder.option("name", setting(py, &format!("'{name}'"))))
}

/// The value of the one sample that begins with `sample`.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

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
    let text = run(async move {
        collect(engine.generate::<_, u32>(("", 7), CallOptions::default()).expect("a place")).await;
        until(|| engine.stats().streams.finished == 1).await;
        metrics_text()
    });
    assert_eq!(value(&text, r#"pybridge_frames_total{engine="built"}"#), Some(7.0));
    let ended = r#"pybridge_streams_ended_total{engine="built",ending="finished",reason=""}"#;
    assert_eq!(value(&text, ended), Some(1.0));
    assert!(value(&text, r#"pybridge_pool_live_bytes{pool="shared"}"#).is_some());
    assert!(value(&text, "pybridge_memory_resident_bytes") > Some(1e6));
    let python = python(|py| setting(py, "metrics_text()").extract::<String>(py).expect("text"));
    let names = |text: &str| text.lines().filter(|line| line.starts_with("# ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&python).len() % 2, 0);
    assert!(names(&text).iter().all(|line| names(&python).contains(line)), "{text}");
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
