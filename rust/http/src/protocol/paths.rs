//! The paths of a service and the methods that each takes.

use http::Method;
use percent_encoding::percent_decode_str;

use super::health_and_metrics::{LIVE, METRICS, Page, READY};
use super::options::ProtocolOptions;
use crate::api::Api;
use crate::openai::Endpoint;

/// What a path is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Generic,
    OpenAi(Endpoint),
    /// `OpenAI`'s list of models.
    Models,
    /// One of them.
    Model(String),
    Page(Page),
}

impl Target {
    /// `base`: where the calls are. `path`: that of the request. `None`: there is nothing.
    pub(super) fn of(options: &ProtocolOptions, base: &str, path: &str) -> Option<Self> {
        match path {
            LIVE if options.health => Some(Self::Page(Page::Live)),
            READY if options.health => Some(Self::Page(Page::Ready)),
            METRICS if options.metrics => Some(Self::Page(Page::Metrics)),
            _ if options.api == Api::OpenAi => Self::below(path.strip_prefix(base)?),
            _ => (path == base).then_some(Self::Generic),
        }
    }

    /// `path`: what follows where `OpenAI`'s interface is. The name of a model may hold slashes.
    fn below(path: &str) -> Option<Self> {
        match path {
            "/chat/completions" => Some(Self::OpenAi(Endpoint::Chat)),
            "/completions" => Some(Self::OpenAi(Endpoint::Completions)),
            "/models" => Some(Self::Models),
            _ => {
                let name = path.strip_prefix("/models/").filter(|name| !name.is_empty())?;
                Some(Self::Model(percent_decode_str(name).decode_utf8_lossy().into_owned()))
            }
        }
    }

    /// The methods that it takes, as the header `Allow` lists them.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Generic | Self::OpenAi(_) => "POST",
            Self::Models | Self::Model(_) | Self::Page(_) => "GET, HEAD",
        }
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}
