//! The observer of one service: it begins the record of each request.

use std::io;
#[cfg(feature = "server")]
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "server")]
use http::StatusCode;
use http::request;

use super::access_log::{AccessLog, LogWriter};
#[cfg(feature = "server")]
use super::http_metrics::Breach;
use super::http_metrics::{Connected, Metrics};
use super::request_record::Record;

/// What a server tells of the requests to one service, for [`metrics_text`](crate::metrics_text) and an access log. Cloning it
/// is cheap.
///
/// ```no_run
/// use http::{Response, request};
/// use pybridge::Engine;
/// use pybridge_http::{AnswerBody, Observer, Prepared};
///
/// async fn answer(observer: &Observer, head: &request::Parts, call: Prepared, engine: &Engine) -> Response<AnswerBody> {
///     let record = observer.begin(head);
///     record.answer(call.run(engine).await)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Observer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Arc<Metrics>,
    log: Option<LogWriter>,
    /// Who has no answer is cut off by the server.
    stopped: AtomicBool,
}

impl Observer {
    /// One for a service of the handler with this name, that of its engine. Services of the same name are counted together.
    pub fn new(handler: &str) -> Self {
        Self::to(Metrics::of(handler), None)
    }

    /// As [`Self::new`]; requests are written to standard error as well.
    ///
    /// # Errors
    /// There can be no thread that writes.
    pub fn with_log(handler: &str, log: AccessLog) -> io::Result<Self> {
        Ok(Self::to(Metrics::of(handler), LogWriter::start(log, io::stderr())?))
    }

    fn to(metrics: Arc<Metrics>, log: Option<LogWriter>) -> Self {
        Self(Arc::new(Shared { metrics, log, stopped: AtomicBool::new(false) }))
    }

    /// Begins the record of a request whose head has come.
    pub fn begin(&self, head: &request::Parts) -> Record {
        Record::new(self.clone(), head)
    }

    /// Notes a request whose head is none of HTTP's: it was answered with `status` and no body.
    #[cfg(feature = "server")]
    pub(crate) fn without_head(&self, client: Option<IpAddr>, status: StatusCode, reason: &str) {
        Record::without_head(self.clone(), client, status, reason);
    }

    /// Counts a connection that was ended for this reason.
    #[cfg(feature = "server")]
    pub(crate) fn broken(&self, breach: Breach) {
        self.0.metrics.broken(breach);
    }

    /// Counts a connection until what this gives is dropped.
    pub fn connected(&self) -> Connected {
        Connected::new(Arc::clone(&self.0.metrics))
    }

    /// Notes that the server stops: a record that is dropped without an answer is not the client's doing any more.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Suspends until the access log has all requests that have ended.
    pub async fn flush(&self) {
        if let Some(log) = self.log() {
            log.flush().await;
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn log(&self) -> Option<&LogWriter> {
        self.0.log.as_ref()
    }
}
