//! The record of one request and its answer.

use std::net::IpAddr;
use std::time::Duration;

#[cfg(feature = "server")]
use http::HeaderValue;
use http::{Response, StatusCode, request};
use pybridge::Reason;
use tokio::time::Instant;

use super::access_log::{End, Entry};
use super::answer_outcome::Outcome;
use super::histogram::Tallied;
use super::http_metrics::{MethodLabel, Metrics};
use super::item_times::Tally;
use super::observer::Observer;
use crate::option_headers::REQUEST_ID;

/// How long gaps between items stay with the request before they are counted.
const GAPS_AFTER: Duration = Duration::from_secs(1);

/// The record of one request, from its head to the end of its answer. Dropping it without an answer says that the client has
/// gone, and is counted with the status 499.
#[derive(Debug)]
pub struct Record {
    observer: Observer,
    method: MethodLabel,
    started: Instant,
    /// For the log, if there is one.
    entry: Option<Box<Entry>>,
    /// That of the answer; `None`: there is none yet.
    status: Option<StatusCode>,
    items: Tally,
    bytes: u64,
    gaps: Tallied,
    /// When gaps were counted last.
    counted: Instant,
    outcome: Outcome,
}

impl Record {
    pub(super) fn new(observer: Observer, head: &request::Parts) -> Self {
        let entry = observer.log().map(|_| Box::new(Entry::new(head)));
        Self::of(observer, MethodLabel::from(&head.method), entry)
    }

    /// Records a request whose head is none of HTTP's, from its beginning to its end.
    #[cfg(feature = "server")]
    pub(super) fn without_head(observer: Observer, client: Option<IpAddr>, status: StatusCode, reason: &str) {
        let entry = observer.log().map(|_| Box::new(Entry::without_head(client, reason)));
        let mut record = Self::of(observer, MethodLabel::OTHER, entry);
        record.status = Some(status);
        Box::new(record).end(Outcome::Refused);
    }

    fn of(observer: Observer, method: MethodLabel, entry: Option<Box<Entry>>) -> Self {
        observer.metrics().begin();
        let started = Instant::now();
        Self {
            method,
            started,
            entry,
            observer,
            status: None,
            items: Tally::default(),
            bytes: 0,
            gaps: Tallied::default(),
            counted: started,
            outcome: Outcome::Finished,
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

    /// Sets the name of the request, if there is a log.
    #[cfg(feature = "server")]
    pub(crate) fn name(&mut self, name: &str) {
        if let Some(entry) = &mut self.entry {
            entry.request_id = HeaderValue::from_bytes(name.as_bytes()).ok();
        }
    }

    /// Notes the head of the answer.
    pub(crate) fn note_head<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        if let (Some(entry), Some(id)) = (&mut self.entry, response.headers().get(REQUEST_ID)) {
            entry.request_id = Some(id.clone());
        }
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
        let is_error = self.status.is_some_and(|status| status.is_client_error() || status.is_server_error());
        self.outcome = if is_error && outcome == Outcome::Finished { Outcome::Refused } else { outcome };
    }

    /// Status and outcome; of a request without an answer, those of whoever cut it off.
    fn ending(&self) -> (StatusCode, Outcome) {
        if let Some(status) = self.status {
            return (status, self.outcome);
        }
        let reason = if self.observer.is_stopped() { Reason::Shutdown } else { Reason::Client };
        (StatusCode::from_u16(reason.status()).unwrap_or_default(), Outcome::Cancelled(reason))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let metrics = self.observer.metrics();
        metrics.add_gaps(&mut self.gaps);
        let (status, outcome) = self.ending();
        metrics.end(self.method, status, duration);
        if let (Some(log), Some(entry)) = (self.observer.log(), self.entry.take()) {
            let &mut Self { started, items: Tally { items, times }, bytes, .. } = self;
            let first_item = times.map(|(first, _)| first - started);
            log.write(entry, End { status, items, bytes, first_item, duration, outcome });
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;
    use crate::{AnswerBody, metrics_text};

    fn record(observer: &Observer) -> Record {
        observer.begin(&Request::post("/").body(()).expect("a request").into_parts().0)
    }

    #[track_caller]
    fn assert_counted(sample: &str) {
        let page = metrics_text();
        assert!(page.contains(&format!("\n{sample}\n")), "{sample} among {page}");
    }

    #[test]
    fn gaps_of_a_long_answer_are_counted_while_it_goes_on() {
        let observer = Observer::new("long");
        let mut record = record(&observer);
        let first = Instant::now();
        for (items, seconds) in [(1, 0.0), (3, 0.5), (4, 0.75), (8, 1.5), (9, 2.0)] {
            record.note(10, Tally { items, times: Some((first, first + Duration::from_secs_f64(seconds))) });
            record.note(4, record.items);
        }
        assert_counted("pybridge_inter_item_seconds_count{handler=\"long\"} 7");
        assert_counted("pybridge_inter_item_seconds_sum{handler=\"long\"} 1.5");
        assert_counted("pybridge_inter_item_seconds_bucket{handler=\"long\",le=\"0.25\"} 7");
        assert_counted("pybridge_inter_item_seconds_bucket{handler=\"long\",le=\"0.1\"} 0");
        drop(record);
        assert_counted("pybridge_inter_item_seconds_count{handler=\"long\"} 8");
        assert_counted("pybridge_time_to_first_item_seconds_count{handler=\"long\"} 1");
    }

    #[test]
    fn a_request_without_an_answer_is_ended_by_its_client_or_by_the_server_that_stops() {
        let observer = Observer::new("unanswered");
        drop(record(&observer));
        observer.stop();
        drop(record(&observer));
        assert_counted("http_requests_total{method=\"POST\",status=\"499\",handler=\"unanswered\"} 1");
        assert_counted("http_requests_total{method=\"POST\",status=\"503\",handler=\"unanswered\"} 1");
    }

    #[test]
    fn services_of_one_name_are_counted_together() {
        let (one, other) = (Observer::new("a \"b\""), Observer::new("a \"b\""));
        let answers = [&one, &other]
            .map(|observer| record(observer).answer(Response::new(AnswerBody::from(Bytes::from_static(b"whole")))));
        assert_counted(r#"http_requests_in_progress{handler="a \"b\""} 2"#);
        drop(answers);
        assert_counted(r#"http_requests_in_progress{handler="a \"b\""} 0"#);
        assert_counted(r#"http_requests_total{method="POST",status="200",handler="a \"b\""} 2"#);
        drop((one, other));
        assert!(!metrics_text().contains(r#"handler="a \"b\"""#), "counters go with the last of them");
    }
}
