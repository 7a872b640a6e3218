//! A call that is ready to be made, and its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use pybridge::{CallOptions, ChunkStream, Engine, Framing, Reason, StreamError};

use super::representation::{Delivery, Representation};
use super::terms::Terms;
use crate::answer::{self, AnswerBody, ChunkBody, Source};
use crate::headers::made_up_id;

/// A call that is ready to be made: what the engine is given, and what makes an answer of its stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared {
    /// The encoded request of the handler.
    pub body: Bytes,
    /// The framing of the stream that [`Self::answer`] takes.
    pub framing: Framing,
    /// The options of the call.
    pub options: CallOptions,
    terms: Arc<Terms>,
    representation: Representation,
    request_id: Option<String>,
}

impl Prepared {
    pub(super) fn new(terms: Arc<Terms>, body: Bytes, options: CallOptions, representation: Representation) -> Self {
        let request_id = options.request_id.clone();
        Self { body, framing: representation.framing, options, terms, representation, request_id }
    }

    /// Calls the handler; gives its answer once the head can go: with the first item, with the failure before it, or
    /// [`ProtocolOptions::commit_after`](crate::ProtocolOptions::commit_after) without either. An answer in one piece is given
    /// when the handler has finished.
    ///
    /// Dropping the future cancels the handler with the reason `client`.
    pub fn run(mut self, engine: &Engine) -> impl Future<Output = Response<AnswerBody>> + Send + use<> {
        let (body, options) = (std::mem::take(&mut self.body), std::mem::take(&mut self.options));
        let started = engine.chunks(body, self.framing, options);
        self.answer(started)
    }

    /// The answer of a stream that was started with [`Self::body`], [`Self::framing`] and [`Self::options`], as [`Self::run`]
    /// gives it; it sets the stream's flush interval.
    pub fn answer(
        self,
        started: Result<ChunkStream, StreamError>,
    ) -> impl Future<Output = Response<AnswerBody>> + Send + use<> {
        let Self { terms, representation, request_id, .. } = self;
        let started = started.map(|chunks| chunks.on_drop(Reason::Client));
        async move {
            let id = match &started {
                Ok(chunks) => chunks.request_id(),
                Err(_) => request_id.unwrap_or_else(made_up_id),
            };
            let answer = match started {
                Ok(chunks) => deliver(&terms, &representation, chunks).await,
                Err(error) => Err(error),
            };
            answer.unwrap_or_else(|error| terms.refused(error, id).map(AnswerBody::from))
        }
    }
}

/// # Errors
/// The stream failed before its answer began.
async fn deliver(
    terms: &Terms,
    representation: &Representation,
    chunks: ChunkStream,
) -> Result<Response<AnswerBody>, StreamError> {
    let Representation { content_type, delivery, .. } = *representation;
    let id = chunks.request_id();
    match delivery {
        Delivery::Stream(failures) => {
            let source = Source::new(chunks, terms.options.flush_interval);
            let mut body = ChunkBody::begin(source, failures, terms.options.commit_after).await?;
            body.keep_alive(terms.options.keep_alive);
            Ok(answer::streamed(content_type, body).map(AnswerBody::from))
        }
        Delivery::Array => Ok(answer::buffered(content_type, id, answer::array(chunks).await?)),
        Delivery::Value => Ok(answer::buffered(content_type, id, answer::value(chunks).await?)),
    }
}
