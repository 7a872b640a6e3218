//! The delivery of a stream as an answer, by either interface.

use http::Response;
use pybridge::{ChunkStream, EngineProfile, Format, Framing, StreamError};

use super::openai_routes;
use super::options::ProtocolOptions;
use super::representation::{Delivery, Representation};
use super::service_state::Terms;
use crate::answer::{self, AnswerBody, Source};

/// How a stream becomes an answer.
#[derive(Debug)]
pub(super) enum Form {
    /// In the form that the client asked for.
    Generic(&'static Representation),
    /// As chunks of a chat or a completion, or merged into one.
    OpenAi(openai_routes::Call),
}

impl Form {
    pub(super) fn framing(&self) -> Framing {
        match self {
            Self::Generic(representation) => representation.framing,
            Self::OpenAi(call) => call.framing(),
        }
    }

    /// Format of the items of an engine with this profile; `None`: the engine's, or JSON in a framing that is text.
    pub(super) fn codec(&self, profile: EngineProfile) -> Option<Format> {
        match self {
            Self::Generic(representation) => representation.codec,
            // The items of a raw engine are JSON already.
            Self::OpenAi(_) => (profile.format != Format::Raw).then_some(Format::Json),
        }
    }

    /// The answer, once its head can go.
    ///
    /// # Errors
    /// The stream failed before that.
    pub(super) async fn deliver(self, terms: &Terms, chunks: ChunkStream) -> Result<Response<AnswerBody>, StreamError> {
        match self {
            Self::Generic(representation) => deliver(representation, terms, chunks).await,
            Self::OpenAi(call) => call.deliver(terms, chunks).await,
        }
    }
}

async fn deliver(
    &Representation { content_type, delivery, .. }: &Representation,
    terms: &Terms,
    chunks: ChunkStream,
) -> Result<Response<AnswerBody>, StreamError> {
    let ProtocolOptions { commit_after, keep_alive, flush_interval, .. } = terms.options;
    let body = match delivery {
        Delivery::Stream(failures) => {
            let source = Source::new(chunks, flush_interval);
            return answer::stream(content_type, source, failures, commit_after, keep_alive).await;
        }
        Delivery::Array => answer::array(chunks).await?,
        Delivery::Value => answer::value(chunks).await?,
    };
    Ok(answer::whole(content_type, body))
}
