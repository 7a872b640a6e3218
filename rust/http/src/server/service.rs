//! One request from its head to the head of its answer.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request};
use http_body::Body;
use hyper::body::Incoming as Received;
use pybridge::FailureKind;

use super::connection_progress::{Live, Progress};
use super::malformed_requests;
use super::receive_body::{Unread, Upload, receive};
use super::root_path::below;
use super::sent_body::Sent;
use super::server_phase::Phase;
use super::server_state::Site;
use super::trouble_report::report;
use super::unread_http2_body::Leftover;
use crate::answer::AnswerBody;
use crate::observe::Record;
use crate::protocol::{Incoming, Page, Route, live_page, metrics_page, no_metrics_page, ready_page};

/// Longest body that is left to hyper to skip when the answer does not need it; above, or if its length is not known, the
/// connection closes instead.
const SKIPPED_BYTES: u64 = 16 << 10;

/// Answers one request. Its handler is cancelled when the future or the body is dropped.
///
/// # Errors
/// The client broke the body of its request off.
pub(super) fn answer(
    site: &Arc<Site>,
    progress: &Arc<Progress>,
    peer: Option<IpAddr>,
    request: Request<Received>,
) -> impl Future<Output = Result<Response<Sent>, hyper::Error>> + Send + use<> {
    let live = progress.begin();
    let exchange = Exchange { site: Arc::clone(site), progress: Arc::clone(progress), peer };
    async move { exchange.run(request, live).await }
}

struct Exchange {
    site: Arc<Site>,
    progress: Arc<Progress>,
    peer: Option<IpAddr>,
}

impl Exchange {
    async fn run(self, request: Request<Received>, live: Live) -> Result<Response<Sent>, hyper::Error> {
        let (mut head, body) = request.into_parts();
        let mut upload = Upload::new(body);
        let below = below(&self.site.options.root_path, &head.uri);
        let asked = below.map(|uri| mem::replace(&mut head.uri, uri));
        let mut route = self.route(&head);
        // What is logged is the path that the client asked for.
        if let Some(asked) = asked {
            head.uri = asked;
        }
        let mut record = (!matches!(route, Route::Page(_))).then(|| self.record(&head));
        if let (Some(record), Route::Call(incoming)) = (&mut record, &mut route) {
            // It has one whether there is a log or not.
            record.name(incoming.name());
        }
        let mut response = self.respond(route, &mut upload).await?;
        self.site.cors.mark(&head.headers, response.headers_mut());
        self.finish_head(&head, &upload, &mut response);
        let response = match record {
            Some(record) => record.answer(response),
            None => response,
        };
        if head.version < Version::HTTP_2 {
            return Ok(response.map(|body| Sent::new(body, live)));
        }
        let is_slow = response.status() == StatusCode::REQUEST_TIMEOUT;
        let leftover = if is_slow { None } else { Leftover::of(upload.body) };
        Ok(response.map(|body| Sent::stream(body, leftover, live)))
    }

    /// What the request is for, or the answer to one that may not pass.
    fn route(&self, head: &request::Parts) -> Route {
        let Site { protocol, cors, options, .. } = &*self.site;
        if let Err(fault) = malformed_requests::check(head) {
            return Route::Answer(protocol.refuse(head, fault));
        }
        if let Some(answer) = cors.preflight(head, || protocol.methods(head.uri.path())) {
            return Route::Answer(answer);
        }
        let route = protocol.route(head);
        let is_open = matches!(route, Route::Page(Page::Live | Page::Ready));
        if is_open || options.api_keys.admit(&head.headers) {
            return route;
        }
        Route::Answer(protocol.without_key(head))
    }

    fn record(&self, head: &request::Parts) -> Record {
        let client = || self.site.forwarded.client(self.peer, &head.headers);
        self.site.observer.begin(head).client(client)
    }

    async fn respond(&self, route: Route, upload: &mut Upload) -> Result<Response<AnswerBody>, hyper::Error> {
        let site = &self.site;
        let whole = match route {
            Route::Call(incoming) => return self.call(incoming, upload).await,
            Route::Page(Page::Live) => live_page(site.engine.stalled()),
            Route::Page(Page::Ready) => ready_page(site.phases.now() == Phase::Serving && site.engine.is_serving()),
            Route::Page(Page::Metrics) => site.metrics().await.map_or_else(
                |error| {
                    let what = format!("the metrics of all processes cannot be read: {error}");
                    report(site.options.access_log, &what);
                    no_metrics_page()
                },
                metrics_page,
            ),
            Route::Answer(answer) => answer,
        };
        Ok(whole.map(AnswerBody::from))
    }

    /// Reads the body, and calls the handler.
    async fn call(&self, incoming: Incoming, upload: &mut Upload) -> Result<Response<AnswerBody>, hyper::Error> {
        let site = &self.site;
        if self.drains() {
            return Ok(incoming.draining().map(AnswerBody::from));
        }
        let received =
            receive(&site.engine, &self.progress, upload, incoming.max_body(), site.options.body_timeout).await;
        let refused: Response<Bytes> = match received {
            Ok(_) if self.drains() => incoming.draining(),
            Ok(body) => match incoming.body(body) {
                Ok(prepared) => return Ok(prepared.run(&site.engine).await),
                Err(refused) => refused,
            },
            Err(Unread::Gone(error)) => return Err(error),
            Err(Unread::Slow) => incoming.too_slow(),
            Err(Unread::Broken) => incoming.fail(malformed_requests::broken_body()),
            Err(Unread::Refused(error)) if error.kind() == Some(FailureKind::TooLarge) => incoming.too_large(),
            Err(Unread::Refused(error)) => incoming.refused(error),
        };
        Ok(refused.map(AnswerBody::from))
    }

    /// True while no call is taken any more.
    fn drains(&self) -> bool {
        self.site.phases.now() >= Phase::Draining
    }

    /// Says in the head what the connection does next, and takes off a body that must not be sent.
    fn finish_head(&self, head: &request::Parts, upload: &Upload, response: &mut Response<AnswerBody>) {
        let is_http1 = head.version < Version::HTTP_2;
        let comes = response.status() != StatusCode::REQUEST_TIMEOUT;
        let skips = comes && upload.body.size_hint().exact().is_some_and(|left| left <= SKIPPED_BYTES);
        let is_unread = !upload.is_over() && !skips;
        if is_http1 && is_unread {
            self.progress.leave_unread();
        }
        if is_http1 && (is_unread || self.drains() || self.site.leaving.has_begun()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if head.method == Method::HEAD {
            if let Some(length) = response.size_hint().exact() {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Bytes::new().into();
        }
    }
}
