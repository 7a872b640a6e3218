//! The route of a request by its head: a call, a page, or an answer at once.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, header, request};
use pybridge::{EngineProfile, Format};

use super::accept_header::choose;
use super::check_options::{ProtocolError, check, path_of};
use super::content_type::format_of;
use super::health_and_metrics::Page;
use super::incoming_call::{Incoming, Kind};
use super::options::ProtocolOptions;
use super::paths::Target;
use super::representation::{Representation, names, offers};
use super::service_state::Terms;
use super::{openai_routes, request_refusals};
use crate::answer::failed;
use crate::api::Api;
use crate::failure_answer::{HttpError, Refusal};
use crate::option_headers::{call_options, made_up_id, request_id};

/// The protocol between HTTP clients and one engine, for any server: it tells what a request is for, and makes its answer.
///
/// A server gives it the head of each request ([`route`](Self::route)), then the body ([`Incoming::body`]), and sends what
/// comes back. Cloning it is cheap.
///
/// ```no_run
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Either, Full, Limited};
/// use pybridge::Engine;
/// use pybridge_http::{AnswerBody, Page, Protocol, Route, live_page, metrics_page, metrics_text, ready_page};
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
///         Route::Page(Page::Metrics) => metrics_page(metrics_text()),
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
    /// Answer with a page: [`live_page`](crate::live_page) and its like.
    Page(Page),
    /// Answer with this, whatever the body says. What is left of that is the server's to skip, or to refuse by closing the
    /// connection.
    Answer(Response<Bytes>),
}

impl Protocol {
    /// The protocol of an engine with this profile.
    ///
    /// # Errors
    /// An option that cannot be.
    pub fn new(options: ProtocolOptions, profile: EngineProfile) -> Result<Self, ProtocolError> {
        check(&options)?;
        let path = path_of(&options).to_owned();
        Ok(Self { terms: Arc::new(Terms { options, profile, path, created: openai_routes::now() }) })
    }

    /// What a request with this head is for. Its path is relative to where the service is mounted.
    ///
    /// The answers among the routes: 404 for another path, 405 for another method, 413 for a `Content-Length` above
    /// [`ProtocolOptions::max_body`], 415 for another `Content-Type`, 406 where `Accept` excludes all forms of an answer, 400 for a
    /// header that cannot be used.
    pub fn route(&self, head: &request::Parts) -> Route {
        self.try_route(head).unwrap_or_else(|error| Route::Answer(self.refuse(head, error)))
    }

    /// The answer to a request with this head that is refused for this reason.
    pub(crate) fn refuse(&self, head: &request::Parts, error: impl Into<HttpError>) -> Response<Bytes> {
        let id = request_id(&head.headers).unwrap_or_else(made_up_id);
        failed(error, id, self.terms.options.api)
    }

    /// The answer to a request without a key: status 401.
    #[cfg(feature = "server")]
    pub(crate) fn without_key(&self, head: &request::Parts) -> Response<Bytes> {
        self.refuse(head, request_refusals::without_key())
    }

    /// The methods that a path takes, as the header `Allow` lists them; `None`: there is nothing.
    #[cfg(feature = "server")]
    pub(crate) fn methods(&self, path: &str) -> Option<&'static str> {
        Target::of(&self.terms.options, &self.terms.path, path).map(|target| target.methods())
    }

    fn try_route(&self, head: &request::Parts) -> Result<Route, HttpError> {
        let Terms { options, path, .. } = &*self.terms;
        let target = Target::of(options, path, head.uri.path()).ok_or_else(request_refusals::not_found)?;
        if !target.takes(&head.method) {
            return Err(request_refusals::wrong_method(target.methods()).into());
        }
        let kind = match target {
            Target::Page(page) => return Ok(Route::Page(page)),
            Target::Models => return Ok(self.models(head, None)),
            Target::Model(name) => return Ok(self.models(head, Some(&name))),
            Target::OpenAi(endpoint) => Kind::OpenAi(endpoint),
            Target::Generic => Kind::Generic(self.negotiate(head)?),
        };
        self.check_length(head)?;
        let mut call = call_options(&head.headers, &options.pass_headers, options.max_timeout)?;
        call.encoded = self.encoded(head)?;
        Ok(Route::Call(Incoming::new(Arc::clone(&self.terms), call, kind)))
    }

    /// A page of `OpenAI`'s interface.
    fn models(&self, head: &request::Parts, name: Option<&str>) -> Route {
        Route::Answer(openai_routes::page(&self.terms, name, request_id(&head.headers)))
    }

    /// Format of the request; `None`: the handler gets it as it is.
    fn encoded(&self, head: &request::Parts) -> Result<Option<Format>, Refusal> {
        let is_openai = self.terms.options.api == Api::OpenAi;
        match self.terms.profile.format {
            Format::Raw if !is_openai => Ok(None),
            engines => {
                let format = format_of(&head.headers, !is_openai)?;
                Ok((engines != Format::Raw).then_some(format))
            }
        }
    }

    /// The form of the answer.
    fn negotiate(&self, head: &request::Parts) -> Result<&'static Representation, Refusal> {
        let profile = self.terms.profile;
        choose(&head.headers, offers(profile)).ok_or_else(|| request_refusals::not_acceptable(names(profile)))
    }

    /// Refuses a body that is announced to be too long before it is read.
    fn check_length(&self, head: &request::Parts) -> Result<(), Refusal> {
        let most = self.terms.max_body();
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match length.map(str::parse::<u64>) {
            Some(Ok(length)) if length > most as u64 => Err(self.terms.too_large()),
            _ => Ok(()),
        }
    }
}
