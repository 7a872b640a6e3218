//! Counters of the requests to each handler.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use http::{Method, StatusCode};

use super::exposition::Exposition;
use super::histogram::{Bounds, Histogram, Tallied};

/// Methods that are counted by name; the rest is the last.
const METHODS: [&str; 10] = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "OTHER"];

/// Statuses from 100 on that are counted; none is outside in what this crate answers.
const STATUSES: usize = 500;

const DURATIONS: Bounds = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];

const FIRST_ITEMS: Bounds = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

const GAPS: Bounds = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    10_000_000,
];

/// Those of all handlers that have some.
static KNOWN: Mutex<Vec<Weak<Metrics>>> = Mutex::new(Vec::new());

/// Counters of the requests to one handler.
#[derive(Debug)]
pub(super) struct Metrics {
    handler: String,
    methods: [OnceLock<Box<Requests>>; METHODS.len()],
    in_progress: AtomicUsize,
    /// Set by servers, which know of connections.
    connections: OnceLock<Connections>,
    first_items: Histogram,
    gaps: Histogram,
}

/// Counters of a server's connections.
#[derive(Debug, Default)]
struct Connections {
    open: AtomicUsize,
    broken: [AtomicU64; Breach::NAMES.len()],
}

/// Why a connection was ended before its client wanted that.
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "servers count connections"))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Breach {
    /// There was no TLS.
    Handshake,
    /// What came is no HTTP.
    Protocol,
    /// A head did not come on.
    Head,
    /// What was sent was not taken.
    Unread,
}

impl Breach {
    /// In the order of the variants.
    const NAMES: [&'static str; 4] = ["tls", "protocol", "header_timeout", "write_timeout"];
}

/// Counters of one method.
#[derive(Debug)]
struct Requests {
    statuses: [AtomicU64; STATUSES],
    durations: Histogram,
}

/// One of the methods that are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodLabel(usize);

impl MethodLabel {
    /// What has no name of its own, or none at all.
    pub(super) const OTHER: Self = Self(METHODS.len() - 1);
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        METHODS.iter().position(|name| *name == method.as_str()).map_or(Self::OTHER, Self)
    }
}

impl Metrics {
    /// Those of the handler of this name, which all its services share while one of them is there.
    pub(super) fn of(handler: &str) -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|metrics| metrics.strong_count() > 0);
        if let Some(metrics) = known.iter().filter_map(Weak::upgrade).find(|metrics| metrics.handler == handler) {
            return metrics;
        }
        let metrics = Arc::new(Self {
            handler: handler.to_owned(),
            methods: Default::default(),
            in_progress: AtomicUsize::new(0),
            connections: OnceLock::new(),
            first_items: Histogram::new(&FIRST_ITEMS),
            gaps: Histogram::new(&GAPS),
        });
        known.push(Arc::downgrade(&metrics));
        metrics
    }

    /// Counts a request that begins.
    pub(super) fn begin(&self) {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was begun and ends.
    pub(super) fn end(&self, method: MethodLabel, status: StatusCode, took: Duration) {
        let requests = self.methods[method.0].get_or_init(Box::default);
        if let Some(count) = requests.statuses.get(usize::from(status.as_u16()) - 100) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        requests.durations.count(took);
        self.in_progress.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts the time from a request to its first item.
    pub(super) fn first_item(&self, after: Duration) {
        self.first_items.count(after);
    }

    fn connections(&self) -> &Connections {
        self.connections.get_or_init(Connections::default)
    }

    /// Counts a connection that was ended for this reason.
    #[cfg(feature = "server")]
    pub(super) fn broken(&self, breach: Breach) {
        self.connections().broken[breach as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts gaps that [`Self::tally`] tallied.
    pub(super) fn add_gaps(&self, gaps: &mut Tallied) {
        self.gaps.add(gaps);
    }

    /// Tallies items that came together after a gap, each with its part of that.
    pub(super) fn tally(gaps: &mut Tallied, gap: Duration, items: u64) {
        gaps.count(&GAPS, gap, items);
    }

    /// The counters of each method that was used.
    fn requests(&self) -> impl Iterator<Item = (&'static str, &Requests)> {
        METHODS.into_iter().zip(&self.methods).filter_map(|(name, requests)| Some((name, &**requests.get()?)))
    }
}

/// A connection to a server, counted until this is dropped.
#[derive(Debug)]
#[must_use = "a connection counts until this is dropped"]
pub struct Connected(Arc<Metrics>);

impl Connected {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connections().open.fetch_add(1, Ordering::Relaxed);
        Self(metrics)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections().open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self { statuses: [const { AtomicU64::new(0) }; STATUSES], durations: Histogram::new(&DURATIONS) }
    }
}

/// The page of metrics: [`pybridge::metrics_text`], and the requests to the handlers of all services of the process that have
/// an [`Observer`](crate::Observer). Needs no interpreter and waits for none.
pub fn metrics_text() -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut handlers: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
    drop(known);
    handlers.sort_by(|one, other| one.handler.cmp(&other.handler));
    pybridge::metrics_text() + &text(&handlers)
}

fn text(handlers: &[Arc<Metrics>]) -> String {
    let mut out = Exposition::default();
    let name = "http_requests_total";
    out.family(name, "counter", "Requests answered, by method and status; 499: the client went before the answer.");
    for metrics in handlers {
        for (method, requests) in metrics.requests() {
            for (status, count) in requests.statuses.iter().enumerate() {
                let (status, count) = ((status + 100).to_string(), count.load(Ordering::Relaxed));
                if count > 0 {
                    let labels = [("method", method), ("status", &status), ("handler", &metrics.handler)];
                    out.sample(name, &labels, count);
                }
            }
        }
    }
    let name = "http_request_duration_seconds";
    out.family(name, "histogram", "Seconds from the head of each request to the end of its answer.");
    for metrics in handlers {
        for (method, requests) in metrics.requests() {
            out.histogram(name, &[("method", method), ("handler", &metrics.handler)], &requests.durations);
        }
    }
    let name = "http_requests_in_progress";
    out.family(name, "gauge", "Requests whose answers have not ended.");
    for metrics in handlers {
        out.sample(name, &[("handler", &metrics.handler)], metrics.in_progress.load(Ordering::Relaxed));
    }
    let servers = || handlers.iter().filter_map(|metrics| Some((&metrics.handler, metrics.connections.get()?)));
    if servers().next().is_some() {
        let name = "http_connections";
        out.family(name, "gauge", "Open connections.");
        for (handler, connections) in servers() {
            out.sample(name, &[("handler", handler)], connections.open.load(Ordering::Relaxed));
        }
        let name = "http_connections_broken_total";
        out.family(name, "counter", "Connections that were ended for what their clients did, or did not do in time.");
        for (handler, connections) in servers() {
            for (reason, count) in Breach::NAMES.iter().zip(&connections.broken) {
                out.sample(name, &[("reason", *reason), ("handler", handler)], count.load(Ordering::Relaxed));
            }
        }
    }
    let name = "pybridge_time_to_first_item_seconds";
    out.family(name, "histogram", "Seconds from the head of each request to its first item.");
    for metrics in handlers {
        out.histogram(name, &[("handler", &metrics.handler)], &metrics.first_items);
    }
    let name = "pybridge_inter_item_seconds";
    out.family(
        name,
        "histogram",
        "Seconds from each item to the next; those that came together share the time before them.",
    );
    for metrics in handlers {
        out.histogram(name, &[("handler", &metrics.handler)], &metrics.gaps);
    }
    out.text()
}
