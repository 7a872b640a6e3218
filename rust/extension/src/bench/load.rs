//! The load: a number of requests, so many at a time, each received to its end by a tokio task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::lane::{Frames, Lane, LaneError};
use super::latency::Latency;
use crate::naive::{BridgeError, decode_request};
use pybridge::codec::Format;

/// What to send, and what to look at; read off a Python object with these attributes.
#[derive(Debug, FromPyObject)]
pub(crate) struct Plan {
    /// Encoded requests; request `n` has body `n` modulo their number.
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) concurrency: usize,
    pub(crate) requests: usize,
    /// Items after which a stream is abandoned.
    pub(crate) item_limit: Option<usize>,
    /// Look at the clock at every receipt.
    pub(crate) latency: bool,
    /// The first request's items carry the monotonic clock at their yield, as nanoseconds under `"t"`.
    pub(crate) probe: bool,
    /// Keep a copy of every frame.
    #[pyo3(attribute("check"))]
    pub(crate) keep: bool,
    #[pyo3(attribute("codec"), from_py_with = format_named)]
    pub(crate) format: Format,
}

fn format_named(name: &Bound<'_, PyAny>) -> PyResult<Format> {
    match name.extract()? {
        "msgpack" => Ok(Format::Msgpack),
        "json" => Ok(Format::Json),
        other => Err(PyValueError::new_err(format!("codec: \"msgpack\" or \"json\", not {other:?}"))),
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    pub(crate) elapsed: Duration,
    pub(crate) first_item: Latency,
    pub(crate) gap: Latency,
    pub(crate) probe: Latency,
    /// By request number; empty unless [`Plan::keep`].
    pub(crate) frames: Vec<(usize, Vec<Vec<u8>>)>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.items += other.items;
        self.bytes += other.bytes;
        self.first_item.add(&other.first_item);
        self.gap.add(&other.gap);
        self.probe.add(&other.probe);
        self.frames.extend(other.frames);
    }
}

#[derive(Deserialize)]
struct Stamped {
    t: u64,
}

fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Puts `plan` through `lane` and waits for the last stream.
pub(crate) async fn run<L: Lane>(lane: L, plan: Plan) -> Result<Outcome, LaneError> {
    let (lane, plan, next) = (Arc::new(lane), Arc::new(plan), Arc::new(AtomicUsize::new(0)));
    let runtime = lane.runtime();
    let started = Instant::now();
    let mut consumers = JoinSet::new();
    for _ in 0..plan.concurrency.min(plan.requests) {
        consumers.spawn_on(consume(Arc::clone(&lane), Arc::clone(&plan), Arc::clone(&next)), &runtime);
    }
    let mut total = Outcome::default();
    while let Some(part) = consumers.join_next().await {
        total.add(part.map_err(|_| LaneError::Reference(BridgeError::Gone))??);
    }
    total.elapsed = started.elapsed();
    total.frames.sort_by_key(|(request, _)| *request);
    Ok(total)
}

/// One of the consumers: takes the next request until there is none.
async fn consume<L: Lane>(lane: Arc<L>, plan: Arc<Plan>, next: Arc<AtomicUsize>) -> Result<Outcome, LaneError> {
    let mut outcome = Outcome::default();
    loop {
        let request = next.fetch_add(1, Ordering::Relaxed);
        if request >= plan.requests {
            return Ok(outcome);
        }
        receive_stream(lane.as_ref(), &plan, request, &mut outcome).await?;
    }
}

async fn receive_stream<L: Lane>(
    lane: &L,
    plan: &Plan,
    request: usize,
    outcome: &mut Outcome,
) -> Result<(), LaneError> {
    let is_probe = plan.probe && request == 0;
    let mut last = plan.latency.then(Instant::now);
    let mut frames = lane.start(&plan.bodies[request % plan.bodies.len()]).await?;
    let (mut items, mut bytes, mut kept, mut broken) = (0, 0, Vec::new(), None);
    loop {
        let probe = &mut outcome.probe;
        let received = frames
            .receive(&mut |frame| {
                bytes += frame.len();
                if plan.keep {
                    kept.push(frame.to_vec());
                }
                if is_probe {
                    match decode_request::<Stamped>(plan.format, frame) {
                        Ok(stamped) => probe.record_nanos(monotonic_nanos().saturating_sub(stamped.t)),
                        Err(error) => broken = Some(error),
                    }
                }
            })
            .await?;
        if let Some(error) = broken.take() {
            return Err(error.into());
        }
        if received == 0 {
            break;
        }
        if let Some(before) = &mut last {
            let now = Instant::now();
            let wait = now.duration_since(*before);
            let series = if items == 0 { &mut outcome.first_item } else { &mut outcome.gap };
            series.record(wait);
            outcome.gap.record_together(received - 1);
            *before = now;
        }
        items += received;
        if plan.item_limit.is_some_and(|limit| items >= limit) {
            break;
        }
    }
    outcome.requests += 1;
    outcome.items += items;
    outcome.bytes += bytes;
    if plan.keep {
        kept.truncate(plan.item_limit.unwrap_or(usize::MAX));
        outcome.frames.push((request, kept));
    }
    Ok(())
}
