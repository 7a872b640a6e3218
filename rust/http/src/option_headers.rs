//! Options of a call from the headers of its request.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pybridge::CallOptions;
use pybridge::codec::Limits;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
const METADATA: &str = "x-meta-";

/// Longest name of a request.
const MAX_ID_BYTES: usize = 256;

/// Longest trace context or state; the standard asks for 512.
const MAX_TRACE_BYTES: usize = 1024;

/// Makes the options of a call from the headers of its request.
///
/// ```
/// use http::HeaderMap;
/// use pybridge::CallOptions;
/// use pybridge_http::FromHeaders;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-request-id", "r-7".parse()?);
/// headers.insert("x-request-timeout", "2.5".parse()?);
/// headers.insert("x-meta-tenant", "blue".parse()?);
/// let options = CallOptions::from_headers(&headers)?;
/// assert_eq!(options.request_id.as_deref(), Some("r-7"));
/// assert_eq!(options.timeout.map(|timeout| timeout.as_millis()), Some(2500));
/// assert_eq!(options.metadata["tenant"], "blue");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FromHeaders: Sized {
    /// Reads these headers, and no others:
    ///
    /// | header | option |
    /// | --- | --- |
    /// | `X-Request-Id` | `request_id`, at most 256 bytes |
    /// | `traceparent`, `tracestate` | the fields of these names, at most 1 KiB each, passed on unread |
    /// | `X-Request-Timeout` | `timeout`: seconds above 0, a fraction allowed |
    /// | `X-Meta-Tenant: blue` | `metadata["tenant"]`; 64 entries and 8 KiB in all |
    /// | `baggage` | `metadata["baggage"]` |
    ///
    /// An empty value counts as none. Several values of `tracestate`, `baggage` or one `X-Meta-*` are joined by commas. The
    /// host bounds the timeout that clients may ask for, as `options.timeout.map(|asked| asked.min(most))`.
    ///
    /// # Errors
    /// A value is too long, is not UTF-8, holds control characters, is given twice, or is no number of seconds.
    fn from_headers(headers: &HeaderMap) -> Result<Self, HeaderError>;
}

/// A header that cannot be used; the client's fault, so the status is 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderError {
    name: HeaderName,
    reason: &'static str,
}

impl HeaderError {
    /// Which header.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Status of the answer: 400.
    pub fn status(&self) -> http::StatusCode {
        http::StatusCode::BAD_REQUEST
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {}: {}", self.name, self.reason)
    }
}

impl std::error::Error for HeaderError {}

impl FromHeaders for CallOptions {
    fn from_headers(headers: &HeaderMap) -> Result<Self, HeaderError> {
        call_options(headers, &[], Duration::MAX)
    }
}

/// As [`FromHeaders::from_headers`], but a client that asks for more than `max_timeout` gets that, and the headers named by `pass`
/// become metadata under their names as well.
pub(crate) fn call_options(
    headers: &HeaderMap,
    pass: &[HeaderName],
    max_timeout: Duration,
) -> Result<CallOptions, HeaderError> {
    let mut options = CallOptions::default();
    // An engine's own limits are checked when the call starts; these keep what is copied until then small.
    let limits = Limits::default();
    let mut bytes = 0;
    for name in headers.keys() {
        if read_option(&mut options, headers, name)? {
            continue;
        }
        let key = match name.as_str().strip_prefix(METADATA) {
            _ if pass.contains(name) => name.as_str(),
            Some("") => return Err(refuse(name, "must say which metadata")),
            // What a proxy vouches for is not the client's to say.
            Some(key) if pass.iter().any(|name| name == key) => {
                return Err(refuse(name, "must be given without the prefix"));
            }
            Some(key) => key,
            None if *name == BAGGAGE => name.as_str(),
            None => continue,
        };
        let Some(value) = joined(headers, name, limits.max_metadata_bytes)? else { continue };
        bytes += key.len() + value.len();
        if options.metadata.insert(key.to_owned(), value).is_some() {
            return Err(refuse(name, "must be given once, with or without the prefix"));
        }
        if bytes > limits.max_metadata_bytes || options.metadata.len() > limits.max_metadata_entries {
            return Err(refuse(name, "is more metadata than a request may have"));
        }
    }
    options.timeout = options.timeout.map(|asked| asked.min(max_timeout));
    Ok(options)
}

/// Sets the option that `name` stands for; false: for none.
fn read_option(options: &mut CallOptions, headers: &HeaderMap, name: &HeaderName) -> Result<bool, HeaderError> {
    match name {
        _ if *name == REQUEST_ID => options.request_id = single(headers, name, MAX_ID_BYTES)?,
        _ if *name == TRACEPARENT => options.traceparent = single(headers, name, MAX_TRACE_BYTES)?,
        _ if *name == TRACESTATE => options.tracestate = joined(headers, name, MAX_TRACE_BYTES)?,
        _ if *name == TIMEOUT => {
            let text = single(headers, name, usize::MAX)?;
            let timeout =
                text.map(|text| seconds(&text).ok_or_else(|| refuse(name, "must be a number of seconds above 0")));
            options.timeout = timeout.transpose()?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// True for headers that mean something to every call.
pub(crate) fn is_read_anyway(name: &HeaderName) -> bool {
    [REQUEST_ID, TRACEPARENT, TRACESTATE, BAGGAGE, TIMEOUT].contains(name) || name.as_str().starts_with(METADATA)
}

/// The name that a request has in its headers, if that can be used.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    single(headers, &REQUEST_ID, MAX_ID_BYTES).ok().flatten()
}

/// A name for a request that has none and comes to no stream, which would make one up.
pub(crate) fn made_up_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn refuse(name: &HeaderName, reason: &'static str) -> HeaderError {
    HeaderError { name: name.clone(), reason }
}

/// The value as it may stand in a log or another header.
fn text<'value>(name: &HeaderName, value: &'value HeaderValue) -> Result<&'value str, HeaderError> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refuse(name, "must be UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refuse(name, "must not hold control characters"));
    }
    Ok(text)
}

fn single(headers: &HeaderMap, name: &HeaderName, most: usize) -> Result<Option<String>, HeaderError> {
    if headers.get_all(name).iter().nth(1).is_some() {
        return Err(refuse(name, "must be given once"));
    }
    joined(headers, name, most)
}

fn joined(headers: &HeaderMap, name: &HeaderName, most: usize) -> Result<Option<String>, HeaderError> {
    let separator = if *name == header::COOKIE { "; " } else { "," };
    let mut all = String::new();
    for value in headers.get_all(name) {
        let value = text(name, value)?;
        if !all.is_empty() && !value.is_empty() {
            all.push_str(separator);
        }
        all.push_str(value);
        if all.len() > most {
            return Err(refuse(name, "is too long"));
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}
