//! What a request is for, by its head.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, header, request};
use pybridge::{EngineProfile, Format};

use super::accept::choose;
use super::check::{ProtocolError, check, path_of};
use super::content_type::format_of;
use super::incoming::Incoming;
use super::options::ProtocolOptions;
use super::refusals;
use super::representation::{names, offers};
use super::terms::Terms;
use crate::error::{HttpError, Refusal};
use crate::headers::{call_options, made_up_id, request_id};

/// The protocol between HTTP clients and one engine, for any server: it tells what a request is for, and makes its answer.
///
/// A server gives it the head of each request ([`route`](Self::route)), then the body ([`Incoming::body`]), and sends what
/// comes back. Cloning it is cheap.
///
/// ```no_run
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Either, Full, Limited};
/// use pybridge::Engine;
/// use pybridge_http::{AnswerBody, Page, Protocol, Route, live_page, metrics_page, ready_page};
///
/// async fn serve(
///     protocol: &Protocol,
///     engine: &Engine,
///     request: Request<hyper::body::Incoming>,
/// ) -> Result<Response<AnswerBody>, Box<dyn std::error::Error + Send + Sync>> {
///     let (head, body) = request.into_parts();
///     let page = match protocol.route(&head) {
///         Route::Call(incoming) => match Limited::new(body, incoming.max_body()).collect().await {
///             Ok(body) => match incoming.body(body.to_bytes()) {
///                 Ok(prepared) => return Ok(prepared.run(engine).await),
///                 Err(refused) => refused,
///             },
///             Err(error) if error.is::<http_body_util::LengthLimitError>() => incoming.too_large(),
///             Err(error) => return Err(error), // the client has gone
///         },
///         Route::Page(Page::Live) => live_page(std::time::Duration::ZERO),
///         Route::Page(Page::Ready) => ready_page(true),
///         Route::Page(Page::Metrics) => metrics_page(pybridge::metrics_text()),
///         Route::Answer(answer) => answer,
///         _ => return Err("a route of a later version".into()),
///     };
///     Ok(page.map(AnswerBody::from))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Protocol {
    terms: Arc<Terms>,
}

/// What a server does with a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Route {
    /// Read its body, and call the handler.
    Call(Incoming),
    /// Answer with a page.
    Page(Page),
    /// Answer with this, whatever the body says. What is left of that is the server's to skip, or to refuse by closing the
    /// connection.
    Answer(Response<Bytes>),
}

/// A page for those who run a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// Whether the process lives: [`live_page`](crate::live_page).
    Live,
    /// Whether it takes calls: [`ready_page`](crate::ready_page).
    Ready,
    /// Its metrics: [`metrics_page`](crate::metrics_page).
    Metrics,
}

impl Protocol {
    /// The protocol of an engine with this profile.
    ///
    /// # Errors
    /// An option that cannot be.
    pub fn new(options: ProtocolOptions, profile: EngineProfile) -> Result<Self, ProtocolError> {
        check(&options)?;
        let path = path_of(&options).to_owned();
        Ok(Self { terms: Arc::new(Terms { options, profile, path }) })
    }

    /// What a request with this head is for. Its path is relative to where the service is mounted.
    ///
    /// The answers among the routes: 404 for another path, 405 for another method, 413 for a `Content-Length` above
    /// [`ProtocolOptions::max_body`], 415 for another `Content-Type`, 406 where `Accept` excludes all forms of an answer, 400 for a
    /// header that cannot be used.
    pub fn route(&self, head: &request::Parts) -> Route {
        self.try_route(head).unwrap_or_else(|error| {
            let error = error.with_request_id(request_id(&head.headers).unwrap_or_else(made_up_id));
            Route::Answer(self.terms.options.api.error_answer(&error))
        })
    }

    fn try_route(&self, head: &request::Parts) -> Result<Route, HttpError> {
        let (terms, path) = (&self.terms, head.uri.path());
        if let Some(page) = terms.page(path) {
            return match head.method {
                Method::GET | Method::HEAD => Ok(Route::Page(page)),
                _ => Err(refusals::wrong_method("GET, HEAD").into()),
            };
        }
        if path != terms.path {
            return Err(refusals::not_found().into());
        }
        if head.method != Method::POST {
            return Err(refusals::wrong_method("POST").into());
        }
        self.check_length(head)?;
        let profile = terms.profile;
        let encoded = if profile.format == Format::Raw { None } else { Some(format_of(&head.headers, true)?) };
        let representation = choose(&head.headers, offers(profile));
        let representation = *representation.ok_or_else(|| refusals::not_acceptable(names(profile)))?;
        let mut options = call_options(&head.headers, &terms.options.pass_headers)?;
        options.timeout = options.timeout.map(|asked| asked.min(terms.options.max_timeout));
        options.encoded = encoded;
        options.codec = representation.codec;
        Ok(Route::Call(Incoming::new(Arc::clone(terms), options, representation)))
    }

    /// Refuses a body that is announced to be too long before it is read.
    fn check_length(&self, head: &request::Parts) -> Result<(), Refusal> {
        let most = self.terms.options.max_body;
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match length.map(str::parse::<u64>) {
            Some(Ok(length)) if length > most as u64 => Err(refusals::too_large(most)),
            _ => Ok(()),
        }
    }
}
