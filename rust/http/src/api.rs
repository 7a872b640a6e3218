//! The interfaces that clients know, each with its shape of a failure.

use bytes::Bytes;
use http::Response;

use crate::failure_answer::HttpError;
use crate::openai::OpenAiError;

/// What a client takes the service for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Api {
    /// One path, whose answers are what the handler yields, in the format that the client asks for.
    #[default]
    Generic,
    /// `OpenAI`'s: `/chat/completions`, `/completions`, `/models`.
    OpenAi,
}

impl Api {
    /// A failure as JSON in one line.
    pub(crate) fn error_body(self, error: &HttpError) -> Bytes {
        match self {
            Self::Generic => error.body(),
            Self::OpenAi => OpenAiError::from(error).body(),
        }
    }

    /// A failure as a whole answer.
    pub(crate) fn error_answer(self, error: &HttpError) -> Response<Bytes> {
        error.with_body(self.error_body(error))
    }
}
