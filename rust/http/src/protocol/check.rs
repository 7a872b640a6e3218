//! Options of the protocol that cannot be.

use std::fmt;

use super::options::ProtocolOptions;
use super::pages::{LIVE, METRICS, READY};
use crate::api::Api;
use crate::headers::is_read_anyway;

/// An option of the protocol that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    option: &'static str,
    reason: String,
}

impl ProtocolError {
    /// The field of [`ProtocolOptions`].
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.reason)
    }
}

impl std::error::Error for ProtocolError {}

fn refuse(option: &'static str, reason: impl Into<String>) -> Result<(), ProtocolError> {
    Err(ProtocolError { option, reason: reason.into() })
}

/// Where the calls are: the path, or for `OpenAI`'s interface what its paths begin with.
pub(super) fn path_of(options: &ProtocolOptions) -> &str {
    match (&options.path, options.api) {
        (Some(path), Api::OpenAi) => path.trim_end_matches('/'),
        (Some(path), Api::Generic) if path.is_empty() => "/",
        (Some(path), Api::Generic) => path,
        (None, Api::Generic) => "/generate",
        (None, Api::OpenAi) => "/v1",
    }
}

/// # Errors
/// The first option that cannot be.
pub(super) fn check(options: &ProtocolOptions) -> Result<(), ProtocolError> {
    check_path(options)?;
    check_models(options)?;
    if options.max_body == 0 {
        refuse("max_body", "must be above 0")?;
    }
    if options.max_timeout.is_zero() {
        refuse("max_timeout", "must be above 0")?;
    }
    for (index, name) in options.pass_headers.iter().enumerate() {
        if is_read_anyway(name) {
            refuse("pass_headers", format!("{name} reaches the handler as it is"))?;
        }
        if options.pass_headers[..index].contains(name) {
            refuse("pass_headers", format!("{name} is given twice"))?;
        }
    }
    Ok(())
}

fn check_path(options: &ProtocolOptions) -> Result<(), ProtocolError> {
    let path = path_of(options);
    let is_prefix = options.api == Api::OpenAi;
    if !(path.starts_with('/') || is_prefix && path.is_empty()) {
        refuse("path", "must begin with a slash")?;
    }
    // What a client sends of the others is escaped, and would not be found.
    if let Some(other) = path.chars().find(|letter| !letter.is_ascii_graphic() || r#"?#"<>\^`{|}"#.contains(*letter)) {
        refuse("path", format!("must not hold {other:?}"))?;
    }
    let pages = [(options.health, LIVE), (options.health, READY), (options.metrics, METRICS)];
    if let Some((_, page)) = pages.into_iter().find(|(is_there, page)| *is_there && !is_prefix && *page == path) {
        refuse("path", format!("is that of the page {page}"))?;
    }
    Ok(())
}

fn check_models(options: &ProtocolOptions) -> Result<(), ProtocolError> {
    if !options.models.is_empty() && options.api != Api::OpenAi {
        refuse("models", "are there for OpenAI's interface only")?;
    }
    for (index, name) in options.models.iter().enumerate() {
        if name.is_empty() || name.chars().any(char::is_control) {
            refuse("models", format!("{name:?} is no name of a model"))?;
        }
        if options.models[..index].contains(name) {
            refuse("models", format!("{name:?} is given twice"))?;
        }
    }
    Ok(())
}
