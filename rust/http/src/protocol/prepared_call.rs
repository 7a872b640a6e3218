//! A call that is ready to be made, and its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use pybridge::{CallOptions, ChunkStream, Engine, Framing, StreamError};

use super::deliver_answer::Form;
use super::service_state::Terms;
use crate::answer::{AnswerBody, answer};

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
    form: Form,
    request_id: Option<String>,
}

impl Prepared {
    pub(super) fn new(terms: Arc<Terms>, body: Bytes, options: CallOptions, form: Form) -> Self {
        let options = options.codec(form.codec(terms.profile));
        let request_id = options.request_id.clone();
        Self { body, framing: form.framing(), options, terms, form, request_id }
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
        let Self { terms, form, request_id, .. } = self;
        answer(started, request_id, terms.options.api, move |chunks| async move { form.deliver(&terms, chunks).await })
    }
}
