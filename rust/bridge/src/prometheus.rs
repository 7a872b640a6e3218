//! Counters of engines, pools and the process in Prometheus' text exposition format.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

use pybridge_pool::PoolStats;
use pyo3::prelude::*;

use crate::base::deferred_release;
use crate::engine::{EngineStats, Histogram, is_shared};
use crate::memory::{self, Figures};
use crate::state::live_engines;
use crate::worker::{self, WorkerStats};

/// How old figures of malloc may be: asking takes malloc's locks.
const MALLOC_AGE: Duration = Duration::from_secs(10);

/// A value of a sample, of which every digit up to 2^53 is kept.
trait Value {
    fn number(self) -> f64;
}

macro_rules! value {
    ($($kind:ty),+) => {
        $(impl Value for $kind {
            fn number(self) -> f64 {
                self as f64
            }
        })+
    };
}

value!(u64, usize, f64);

type Labels<'a> = &'a [(&'a str, &'a str)];

/// One metric with its samples.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// What is before the value in its line, in the order of their coming; the place of each.
    samples: Vec<(String, f64)>,
    places: HashMap<String, usize>,
}

/// Samples by metric; those with the same labels add up, so that engines may share a name.
#[derive(Default)]
struct Exposition {
    families: Vec<Family>,
    places: HashMap<&'static str, usize>,
}

impl Exposition {
    /// Adds to a counter; its name ends with `_total`.
    fn counter(&mut self, name: &'static str, help: &'static str, value: impl Value, labels: Labels<'_>) {
        self.family(name, "counter", help).add("", labels, value.number());
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Value, labels: Labels<'_>) {
        self.family(name, "gauge", help).add("", labels, value.number());
    }

    /// Adds to a histogram: each bucket counts the values up to its bound.
    fn histogram(&mut self, name: &'static str, help: &'static str, values: &Histogram, labels: Labels<'_>) {
        let family = self.family(name, "histogram", help);
        let mut count = 0;
        for (bound, number) in values.bounds.iter().zip(&values.counts) {
            count += number;
            let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            family.add("_bucket", &[labels, &[("le", &bound)]].concat(), count.number());
        }
        family.add("_sum", labels, values.total);
        family.add("_count", labels, count.number());
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> &mut Family {
        let place = *self.places.entry(name).or_insert_with(|| {
            self.families.push(Family { name, kind, help, samples: Vec::new(), places: HashMap::new() });
            self.families.len() - 1
        });
        &mut self.families[place]
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples, .. } in &self.families {
            let _ = write!(text, "# HELP pybridge_{name} {help}\n# TYPE pybridge_{name} {kind}\n");
            for (sample, value) in samples {
                let _ = writeln!(text, "pybridge_{sample} {value}");
            }
        }
        text
    }
}

impl Family {
    fn add(&mut self, suffix: &str, labels: Labels<'_>, value: f64) {
        let mut sample = format!("{}{suffix}", self.name);
        for (index, (label, content)) in labels.iter().enumerate() {
            sample.push(if index == 0 { '{' } else { ',' });
            let _ = write!(sample, "{label}=\"{}\"", escape(content));
        }
        if !labels.is_empty() {
            sample.push('}');
        }
        if let Some(&place) = self.places.get(&sample) {
            self.samples[place].1 += value;
        } else {
            self.places.insert(sample.clone(), self.samples.len());
            self.samples.push((sample, value));
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The counters of all engines of the process, their pools and workers, and the process's memory, for a `/metrics`
/// endpoint. Needs no interpreter and waits for none.
///
/// Engines of the same name are counted together. A pool has the label `shared`, or the name of its first engine. Blocks of
/// Python's allocator can be counted by a worker only: this shows what one counted for the call before, none for the first.
///
/// ```no_run
/// # fn answer() -> String {
/// pybridge::metrics_text() // with `Content-Type: text/plain; version=0.0.4`
/// # }
/// ```
pub fn metrics_text() -> String {
    worker::run_on_any(|py, _port| drop(memory::count_blocks(py)));
    text()
}

/// Gives the counters of all engines, their pools and workers, and the process's memory, for a `/metrics` endpoint.
///
/// Engines of the same name are counted together. A pool has the label `shared`, or the name of its first engine.
#[python_entry]
#[pyfunction]
#[pyo3(name = "metrics_text")]
pub(crate) fn metrics_text_from_python(py: Python<'_>) -> PyResult<String> {
    deferred_release::drain_orphans(py);
    memory::count_blocks(py)?;
    Ok(py.detach(text))
}

fn text() -> String {
    let mut engines = live_engines();
    engines.sort_by(|one, other| one.name.cmp(&other.name));
    let (mut out, mut workers) = (Exposition::default(), BTreeMap::new());
    let mut pools: Vec<(usize, String, PoolStats)> = Vec::new();
    for engine in engines {
        let stats = EngineStats::of(&engine);
        add_engine(&mut out, &engine.name, &stats);
        workers.extend(stats.workers.into_iter().map(|worker| ((worker.name.clone(), worker.kind), worker)));
        if pools.iter().all(|(id, ..)| *id != engine.pool.id()) {
            let name = if is_shared(&engine.pool) { "shared".to_owned() } else { engine.name.clone() };
            pools.push((engine.pool.id(), name, stats.pool));
        }
    }
    for worker in workers.values() {
        add_worker(&mut out, worker);
    }
    for (_, name, pool) in &pools {
        add_pool(&mut out, name, pool);
    }
    add_memory(&mut out, &Figures::at_most(MALLOC_AGE));
    out.text()
}

fn add_engine(out: &mut Exposition, name: &str, stats: &EngineStats) {
    let labels = &[("engine", name)][..];
    let with = |label, content| [("engine", name), (label, content)];
    let (streams, flow) = (&stats.streams, &stats.flow);
    out.counter("streams_started_total", "Streams started.", streams.started, labels);
    out.gauge("streams_live", "Streams without an ending yet.", streams.live, labels);
    out.gauge("streams_queued", "Calls that wait for a place.", streams.queued, labels);
    let help = "Calls that became no stream, because there was no place or the engine was closed.";
    out.counter("streams_refused_total", help, streams.refused, labels);
    let cancelled = streams.cancelled.iter().map(|(reason, &count)| ("cancelled", reason.as_str(), count));
    for (ending, reason, count) in
        [("finished", "", streams.finished), ("raised", "", streams.raised)].into_iter().chain(cancelled)
    {
        let labels = [("engine", name), ("ending", ending), ("reason", reason)];
        out.counter("streams_ended_total", "Streams by ending; cancelled ones by reason.", count, &labels);
    }
    let closes =
        [("ignored", streams.close_ignored), ("timeout", streams.close_timeout), ("error", streams.close_error)];
    for (outcome, count) in closes {
        let help = "Handlers that did not let themselves be closed, by what they did.";
        out.counter("closes_failed_total", help, count, &with("outcome", outcome));
    }
    out.counter("frames_total", "Items encoded.", stats.frames, labels);
    out.counter("frame_bytes_total", "Bytes of encoded items.", stats.bytes, labels);
    out.counter("crossings_total", "Hand-overs between Python threads and the runtime.", stats.crossings, labels);
    out.histogram("batch_items", "Items of each hand-over.", &stats.batch_items, labels);
    let help = "Seconds from each call to its first item.";
    out.histogram("first_item_seconds", help, &stats.first_item_seconds, labels);
    let help = "Seconds from the request to stop a stream to its ending.";
    out.histogram("cancel_seconds", help, &stats.cancel_seconds, labels);
    for (thread, &count) in &stats.attaches {
        let help = "Times that a thread attached to the interpreter.";
        out.counter("attaches_total", help, count, &with("thread", thread));
    }
    out.counter("wakeups_total", "Wake-ups of event loops.", stats.wakeups, labels);
    for (class, &count) in &stats.errors {
        out.counter("errors_total", "Endings by exception class.", count, &with("class", class));
    }
    let help = "Python references that wait for a Python thread to release them.";
    out.gauge("deferred_releases", help, stats.deferred_releases, labels);
    out.gauge("in_flight_bytes", "Bytes queued and not yet taken.", flow.in_flight_bytes, labels);
    out.counter("waits_total", "Times that a handler waited for its consumer.", flow.waits, labels);
    let help = "Streams cancelled because their items were not taken in time.";
    out.counter("slow_consumers_total", help, flow.slow_consumers, labels);
    out.gauge("decoded_bytes", "Bytes of decoded requests held by handlers.", flow.decoded_bytes, labels);
}

fn add_worker(out: &mut Exposition, worker: &WorkerStats) {
    let labels = &[("worker", &*worker.name), ("kind", worker.kind), ("loop", &*worker.loop_name)];
    out.gauge("worker_lag_seconds", "How late the event loop is now.", worker.lag_ms / 1000.0, labels);
    let help = "Times that the event loop stood for over a second.";
    out.counter("worker_stalls_total", help, worker.stalls, labels);
    out.gauge("worker_streams_live", "Streams that run on the worker.", worker.live, labels);
}

fn add_pool(out: &mut Exposition, name: &str, stats: &PoolStats) {
    let labels = &[("pool", name)];
    out.gauge("pool_live_bytes", "Bytes handed out.", stats.live_bytes, labels);
    out.gauge("pool_parked_bytes", "Idle bytes kept for the next use.", stats.parked_bytes, labels);
    out.gauge("pool_pinned_bytes", "Bytes of segments in use that no live frame needs.", stats.pinned_bytes, labels);
    out.gauge("pool_peak_bytes", "Most bytes ever handed out at once.", stats.peak_bytes, labels);
    out.counter("pool_hits_total", "Buffers taken from idle ones.", stats.hits, labels);
    out.counter("pool_misses_total", "Buffers that had to be made.", stats.misses, labels);
    out.counter("pool_fallbacks_total", "Buffers made outside an exhausted pool.", stats.fallbacks, labels);
    out.gauge("pool_held_bytes", "Bytes that count against the ceiling.", stats.held_bytes, labels);
    out.gauge("pool_inbound_bytes", "Bytes of request bodies.", stats.inbound_bytes, labels);
    out.counter("pool_exhausted_total", "Buffers refused by an exhausted pool.", stats.exhausted, labels);
    out.counter("pool_oversized_total", "Buffers refused because no budget could hold them.", stats.oversized, labels);
    let help = "Bytes copied out of pinned segments.";
    out.counter("pool_copied_out_bytes_total", help, stats.copied_out_bytes, labels);
    out.counter("pool_leaks_total", "Sampled buffers in use for longer than leak_after.", stats.leaks, labels);
    let released = stats.released;
    for (reason, bytes) in
        [("decay", released.decay), ("idle", released.idle), ("trim", released.trim), ("cap", released.cap)]
    {
        let labels = &[("pool", name), ("reason", reason)];
        out.counter("pool_released_bytes_total", "Bytes given back to the system.", bytes, labels);
    }
    for class in &stats.classes {
        let labels = &[("pool", name), ("capacity", &*class.capacity.to_string())];
        out.gauge("pool_class_live_bytes", "Bytes of large buffers in use.", class.live_bytes(), labels);
        out.gauge("pool_class_parked_bytes", "Bytes of idle large buffers.", class.parked_bytes(), labels);
        out.gauge("pool_class_peak_bytes", "Most bytes of large buffers ever in use.", class.peak_bytes(), labels);
        out.counter("pool_class_hits_total", "Large buffers taken from idle ones.", class.hits, labels);
        out.counter("pool_class_misses_total", "Large buffers that had to be made.", class.misses, labels);
    }
    out.counter("pool_segment_hits_total", "Segments taken from idle ones.", stats.segments.hits, labels);
    out.counter("pool_segment_misses_total", "Segments that had to be made.", stats.segments.misses, labels);
    for (found, count) in [("free", stats.segments.reclaimed), ("busy", stats.segments.busy)] {
        let labels = &[("pool", name), ("found", found)];
        out.counter("pool_segment_looks_total", "Looks at a full segment, by what they found.", count, labels);
    }
}

fn add_memory(out: &mut Exposition, figures: &Figures) {
    out.gauge("memory_resident_bytes", "Memory of the process that is in RAM.", figures.resident, &[]);
    for (owner, bytes) in [
        ("pool_live", figures.pool_live),
        ("pool_parked", figures.pool_parked),
        ("pool_pinned", figures.pool_pinned),
        ("malloc_in_use", figures.malloc_in_use),
        ("malloc_free", figures.malloc_free),
    ] {
        let help = "Memory of the process by owner; what is left of the resident bytes is code, stacks and the like.";
        out.gauge("memory_bytes", help, bytes, &[("owner", owner)]);
    }
    out.gauge("frames_held", "Frames that Python code holds.", figures.frames_held, &[]);
    out.gauge("malloc_arenas", "Arenas of malloc.", figures.malloc_arenas, &[]);
    if let Some(blocks) = figures.python_blocks {
        out.gauge("python_blocks", "Blocks handed out by Python's own allocator.", blocks, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_equal_ones_add_up() {
        let mut out = Exposition::default();
        for _ in 0..2 {
            out.counter("things_total", "Things.", 1_u64, &[("thing", "a \"b\"\\\nc")]);
        }
        assert_eq!(
            out.text(),
            "# HELP pybridge_things_total Things.\n# TYPE pybridge_things_total counter\n\
             pybridge_things_total{thing=\"a \\\"b\\\"\\\\\\nc\"} 2\n"
        );
    }

    #[test]
    fn large_counters_keep_every_digit() {
        let mut out = Exposition::default();
        let most = (1_u64 << 53) - 1;
        out.counter("bytes_total", "Bytes.", most, &[]);
        assert!(out.text().ends_with(&format!("\npybridge_bytes_total {most}\n")), "{}", out.text());
    }

    #[test]
    fn buckets_count_all_values_up_to_their_bound() {
        let mut out = Exposition::default();
        let values = Histogram { bounds: vec![0.000_1, 5.0, f64::INFINITY], counts: vec![2, 0, 1], total: 7.5 };
        out.histogram("wait_seconds", "Waits.", &values, &[("engine", "one")]);
        let samples: Vec<_> = out.text().lines().skip(2).map(str::to_owned).collect();
        let expected = [
            r#"pybridge_wait_seconds_bucket{engine="one",le="0.0001"} 2"#,
            r#"pybridge_wait_seconds_bucket{engine="one",le="5"} 2"#,
            r#"pybridge_wait_seconds_bucket{engine="one",le="+Inf"} 3"#,
            r#"pybridge_wait_seconds_sum{engine="one"} 7.5"#,
            r#"pybridge_wait_seconds_count{engine="one"} 3"#,
        ];
        assert_eq!(samples, expected);
    }
}
