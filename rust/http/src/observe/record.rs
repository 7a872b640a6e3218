//! The record of one request and its answer.

use std::net::IpAddr;
use std::time::Duration;

use http::{Response, StatusCode, request};
use pybridge::Reason;
use tokio::time::Instant;

use super::histogram::Tallied;
use super::metrics::{MethodLabel, Metrics};
use super::observer::Observer;
use crate::access_log::{End, Entry};
use crate::answer::{AnswerBody, Outcome, Tally};
use crate::headers::REQUEST_ID;

/// How long gaps between items stay with the request before they are counted.
const GAPS_AFTER: Duration = Duration::from_secs(1);

/// What is counted of a request without an answer; HTTP has no name for it, so that it is nginx's.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The record of one request, from its head to the end of its answer. Dropping it without an answer says that the client has
/// gone.
#[derive(Debug)]
pub struct Record {
    observer: Observer,
    method: MethodLabel,
    started: Instant,
    /// For the log, if there is one.
    entry: Option<Box<Entry>>,
    status: StatusCode,
    items: Tally,
    bytes: u64,
    gaps: Tallied,
    /// When gaps were counted last.
    counted: Instant,
    outcome: Outcome,
}

impl Record {
    pub(super) fn new(observer: Observer, head: &request::Parts) -> Self {
        observer.metrics().begin();
        let started = Instant::now();
        Self {
            method: MethodLabel::from(&head.method),
            started,
            entry: observer.log().map(|_| Box::new(Entry::new(head))),
            observer,
            status: StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST),
            items: Tally::default(),
            bytes: 0,
            gaps: Tallied::default(),
            counted: started,
            outcome: Outcome::Cancelled(Reason::Client),
        }
    }

    /// Sets the client that the access log names; `client` is called if there is one.
    #[must_use]
    pub fn client(mut self, client: impl FnOnce() -> Option<IpAddr>) -> Self {
        if let Some(entry) = &mut self.entry {
            entry.client = client();
        }
        self
    }

    /// The answer to the request; the record ends with its body.
    #[must_use]
    pub fn answer(mut self, mut response: Response<AnswerBody>) -> Response<AnswerBody> {
        self.status = response.status();
        if let (Some(entry), Some(id)) = (&mut self.entry, response.headers().get(REQUEST_ID)) {
            entry.request_id = Some(id.clone());
        }
        response.body_mut().observe(Box::new(self));
        response
    }

    /// Notes a piece of the body, and the items so far.
    pub(crate) fn note(&mut self, len: usize, items: Tally) {
        self.bytes += len as u64;
        let Some((first, last)) = items.times.filter(|_| items.items > self.items.items) else { return };
        if let Some((_, before)) = self.items.times {
            Metrics::tally(&mut self.gaps, last - before, items.items - self.items.items);
            if last - self.counted > GAPS_AFTER {
                self.observer.metrics().add_gaps(&mut self.gaps);
                self.counted = last;
            }
        } else {
            self.observer.metrics().first_item(first - self.started);
        }
        self.items = items;
    }

    /// Ends the record of a request that was answered.
    pub(crate) fn end(mut self: Box<Self>, outcome: Outcome) {
        let is_error = self.status.is_client_error() || self.status.is_server_error();
        self.outcome = if is_error && outcome == Outcome::Finished { Outcome::Refused } else { outcome };
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let metrics = self.observer.metrics();
        metrics.add_gaps(&mut self.gaps);
        metrics.end(self.method, self.status, duration);
        if let (Some(log), Some(entry)) = (self.observer.log(), self.entry.take()) {
            let &mut Self { started, status, items: Tally { items, times }, bytes, outcome, .. } = self;
            let first_item = times.map(|(first, _)| first - started);
            log.write(entry, End { status, items, bytes, first_item, duration, outcome });
        }
    }
}
