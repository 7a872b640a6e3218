//! `OpenAI`'s interface: its pages, and the answers of its calls.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Response;
use pybridge::{ChunkStream, Framing, StreamError};

use super::options::ProtocolOptions;
use super::service_state::Terms;
use crate::answer::{self, AnswerBody, Failures, Source};
use crate::api::Api;
use crate::media_types;
use crate::openai::{Asked, Endpoint, Events, Merger, OpenAiError, look, model_page, models_page};
use crate::option_headers::made_up_id;

/// A call whose body has been looked at.
#[derive(Debug)]
pub(super) struct Call {
    endpoint: Endpoint,
    asked: Asked,
}

/// A page that tells of one model, or of all. `created`: seconds since 1970.
pub(super) fn page(terms: &Terms, model: Option<&str>, request_id: Option<String>) -> Response<Bytes> {
    let (models, created) = (&terms.options.models, terms.created);
    let page = match model {
        None => Ok(models_page(models, created)),
        Some(name) => model_page(name, models, created),
    };
    let id = request_id.unwrap_or_else(made_up_id);
    match page {
        Ok(page) => answer::named(answer::whole(media_types::JSON, page.into()), id),
        Err(error) => refused(error, id),
    }
}

/// The answer to a request that is refused.
pub(super) fn refused(error: OpenAiError, request_id: String) -> Response<Bytes> {
    answer::named(error.into_http(), request_id)
}

impl Call {
    /// Looks at the body of a call.
    ///
    /// # Errors
    /// It does not say what it must.
    pub(super) fn of(terms: &Terms, endpoint: Endpoint, body: &[u8]) -> Result<Self, OpenAiError> {
        Ok(Self { endpoint, asked: look(body, &terms.options.models)? })
    }

    pub(super) fn framing(&self) -> Framing {
        if self.asked.stream { Framing::Sse } else { Framing::None }
    }

    /// # Errors
    /// The stream failed before its answer began.
    pub(super) async fn deliver(self, terms: &Terms, chunks: ChunkStream) -> Result<Response<AnswerBody>, StreamError> {
        let ProtocolOptions { commit_after, keep_alive, flush_interval, .. } = terms.options;
        let (id, created, unary) = (chunks.request_id(), now(), terms.profile.unary);
        if !self.asked.stream {
            let merger = Merger::new(self.endpoint, self.asked, &id, created).unary(unary);
            let body = answer::merged(chunks, merger).await?;
            return Ok(answer::whole(media_types::JSON, body));
        }
        let events = Events::new(self.endpoint, self.asked, &id, created).unary(unary);
        let source = Source::events(chunks, flush_interval, events);
        answer::stream(media_types::EVENTS, source, Failures::Event(Api::OpenAi), commit_after, keep_alive).await
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
