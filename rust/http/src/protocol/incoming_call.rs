//! A call whose head fits, and whose body is still to come.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use pybridge::{CallOptions, StreamError};

use super::deliver_answer::Form;
use super::openai_routes;
use super::prepared_call::Prepared;
use super::representation::Representation;
#[cfg(feature = "server")]
use super::request_refusals;
use super::service_state::Terms;
use crate::answer::failed;
use crate::failure_answer::HttpError;
use crate::openai::Endpoint;
use crate::option_headers::made_up_id;

/// A call whose head fits. Its body is still to come.
#[derive(Debug)]
pub struct Incoming {
    terms: Arc<Terms>,
    options: CallOptions,
    kind: Kind,
}

/// What is known of a call before its body.
#[derive(Debug)]
pub(super) enum Kind {
    Generic(&'static Representation),
    OpenAi(Endpoint),
}

impl Incoming {
    pub(super) fn new(terms: Arc<Terms>, options: CallOptions, kind: Kind) -> Self {
        Self { terms, options, kind }
    }

    /// The name of the request; one is made up if it has none.
    #[cfg(feature = "server")]
    pub(crate) fn name(&mut self) -> &str {
        self.options.request_id.get_or_insert_with(made_up_id)
    }

    /// Longest body, in bytes; the answer to a longer one is [`Self::too_large`].
    pub fn max_body(&self) -> usize {
        self.terms.max_body()
    }

    /// The answer to a body that is too long: status 413.
    pub fn too_large(self) -> Response<Bytes> {
        let refusal = self.terms.too_large();
        self.fail(refusal)
    }

    /// The answer to a body that the engine's pool does not take ([`RequestBody::push`](pybridge::RequestBody::push)).
    pub fn refused(self, error: StreamError) -> Response<Bytes> {
        self.fail(error)
    }

    /// The answer to a body that comes too slowly: status 408.
    #[cfg(feature = "server")]
    pub(crate) fn too_slow(self) -> Response<Bytes> {
        self.fail(request_refusals::too_slow())
    }

    /// The answer while no call is taken any more: status 503.
    #[cfg(feature = "server")]
    pub(crate) fn draining(self) -> Response<Bytes> {
        self.fail(request_refusals::draining())
    }

    pub(crate) fn fail(self, error: impl Into<HttpError>) -> Response<Bytes> {
        failed(error, self.options.request_id.unwrap_or_else(made_up_id), self.terms.options.api)
    }

    /// The call with its whole body.
    ///
    /// # Errors
    /// The answer to a body that is too long or, for `OpenAI`'s interface, does not say what it must.
    #[expect(
        clippy::result_large_err,
        reason = "it is sent at once, and nothing is gained by boxing what is moved once"
    )]
    pub fn body(self, body: Bytes) -> Result<Prepared, Response<Bytes>> {
        if body.len() > self.max_body() {
            return Err(self.too_large());
        }
        let Self { terms, options, kind } = self;
        let form = match kind {
            Kind::Generic(representation) => Form::Generic(representation),
            Kind::OpenAi(endpoint) => match openai_routes::Call::of(&terms, endpoint, &body) {
                Ok(call) => Form::OpenAi(call),
                Err(error) => return Err(openai_routes::refused(error, options.request_id.unwrap_or_else(made_up_id))),
            },
        };
        Ok(Prepared::new(terms, body, options, form))
    }
}
