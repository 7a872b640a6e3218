//! The two endpoints that generate, and the names that their answers carry.

/// An endpoint that calls the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/chat/completions`
    Chat,
    /// `/completions`
    Completions,
}

impl Endpoint {
    /// What the id of an answer begins with.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completions => "cmpl-",
        }
    }

    /// `object` of a chunk.
    pub(super) fn chunk(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Completions => "text_completion",
        }
    }

    /// `object` of a whole answer.
    pub(super) fn whole(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion",
            Self::Completions => "text_completion",
        }
    }

    /// The member that the text of a delta is.
    pub(super) fn text_key(self) -> &'static [u8] {
        match self {
            Self::Chat => b"content",
            Self::Completions => b"text",
        }
    }
}
