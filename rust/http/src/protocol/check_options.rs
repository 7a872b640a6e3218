//! The check of the protocol's options, and the error of one that cannot be.

use std::fmt;
use std::time::Duration;

use super::health_and_metrics::{LIVE, METRICS, READY};
use super::options::ProtocolOptions;
use crate::api::Api;
use crate::option_headers::is_read_anyway;

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

/// Longest time that may be asked for: ten years.
const MOST_TIME: Duration = Duration::from_secs(315_360_000);

/// Letters that no path holds which a client sends: it escapes them.
const ESCAPED: &str = r#"?#"<>\^`{|}"#;

/// # Errors
/// What is wrong with a time. `zero`: it may be that.
pub(crate) fn check_time(time: Duration, zero: bool) -> Result<(), String> {
    if (time.is_zero() && !zero) || time > MOST_TIME {
        let least = if zero { "" } else { "above 0 and " };
        return Err(format!("must be {least}at most {} seconds, not {}", MOST_TIME.as_secs(), time.as_secs()));
    }
    Ok(())
}

/// # Errors
/// What is wrong with a path, or with what paths begin with.
pub(crate) fn check_letters(path: &str) -> Result<(), String> {
    if !path.is_empty() && !path.starts_with('/') {
        return Err(format!("must begin with a slash, not {path:?}"));
    }
    match path.chars().find(|letter| !letter.is_ascii_graphic() || ESCAPED.contains(*letter)) {
        // What a client sends of it is escaped, and would not be found.
        Some(other) => Err(format!("must not hold {other:?}, as {path:?} does")),
        None => Ok(()),
    }
}

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
    let times = [
        ("max_timeout", options.max_timeout, false),
        ("commit_after", options.commit_after, true),
        ("keep_alive", options.keep_alive, true),
        ("flush_interval", options.flush_interval, true),
    ];
    for (option, time, zero) in times {
        check_time(time, zero).or_else(|reason| refuse(option, reason))?;
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
    check_letters(path).or_else(|reason| refuse("path", reason))?;
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
