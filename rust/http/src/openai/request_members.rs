//! The three members that are read of a request's body: model, stream and the wish for usage.

use std::borrow::Cow;

use http::StatusCode;
use pybridge::Limits;
use pybridge::codec::{self, Format};

use super::json_walk::{Kind, Malformed, Member, is_null, kind, members, string};
use super::openai_error::OpenAiError;

/// Longest name of a model; each chunk of an answer repeats it.
const MAX_NAME_BYTES: usize = 256;

/// Bytes of an escaped character.
const ESCAPED_BYTES: usize = 6;

/// Characters of a model's name that an error repeats.
const NAME_SHOWN: usize = 100;

/// What the protocol itself needs to know of a request; the rest is the handler's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The model's name, decoded.
    pub(crate) model: String,
    /// The answer comes as events.
    pub(crate) stream: bool,
    /// The events end with one that tells the usage.
    pub(crate) include_usage: bool,
}

/// Looks at `model`, `stream` and `stream_options.include_usage`, and passes everything else over without looking into it: the
/// engine decodes the body anyhow, and refuses what is no JSON there. Of keys that come twice the last counts, as for handlers.
/// Needs no memory that grows with the body, but for the model's name.
///
/// `models`: the names that there are; none: any name will do.
///
/// # Errors
/// 400 for what is no JSON object or has one of the three in a wrong type; 404 for a model that there is not.
pub(crate) fn look(body: &[u8], models: &[String]) -> Result<Asked, OpenAiError> {
    let mut all = members(body).ok_or_else(|| no_object(body))?;
    let (mut model, mut stream, mut options) = (None, None, None);
    for member in &mut all {
        let Member { key, value, .. } = member.map_err(|Malformed| unreadable())?;
        match &*decoded_key(key) {
            b"model" => model = Some(value),
            b"stream" => stream = Some(value),
            b"stream_options" => options = Some(value),
            _ => {}
        }
    }
    if !all.rest().trim_ascii().is_empty() {
        return Err(unreadable());
    }
    let model = name_of(model)?;
    let stream = flag(stream, "stream")?;
    let include_usage = match options.filter(|options| !is_null(options)) {
        None => false,
        Some(_) if !stream => {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.".to_owned();
            return Err(bad(message).param("stream_options"));
        }
        Some(options) => include_usage(options)?,
    };
    if !models.is_empty() && !models.contains(&model) {
        return Err(no_such_model(&model).param("model"));
    }
    Ok(Asked { model, stream, include_usage })
}

/// The model is none of those that there are.
pub(super) fn no_such_model(name: &str) -> OpenAiError {
    let shown: String = name.chars().take(NAME_SHOWN).collect();
    let more = if shown.len() < name.len() { "…" } else { "" };
    OpenAiError::new(StatusCode::NOT_FOUND, format!("The model '{shown}{more}' does not exist."))
        .code("model_not_found")
}

fn bad(message: String) -> OpenAiError {
    OpenAiError::new(StatusCode::BAD_REQUEST, message)
}

fn unreadable() -> OpenAiError {
    bad("We could not parse the JSON body of your request.".to_owned())
}

fn no_object(body: &[u8]) -> OpenAiError {
    match kind(body.trim_ascii()) {
        Kind::Other | Kind::Nothing => unreadable(),
        kind => bad(format!("The body of your request is {kind}, not a JSON object.")),
    }
}

fn wrong_type(name: &'static str, expected: &str, value: &[u8]) -> OpenAiError {
    let message = format!("Invalid type for '{name}': expected {expected}, but got {} instead.", kind(value));
    bad(message).param(name).code("invalid_type")
}

fn name_of(value: Option<&[u8]>) -> Result<String, OpenAiError> {
    let missing =
        || bad("You must provide a model parameter.".to_owned()).param("model").code("missing_required_parameter");
    let value = value.ok_or_else(missing)?;
    let name = string(value).ok_or_else(|| wrong_type("model", "a string", value))?;
    let too_long = || {
        let message = format!("Invalid 'model': string too long. Expected at most {MAX_NAME_BYTES} bytes.");
        bad(message).param("model").code("string_above_max_length")
    };
    if name.len() > MAX_NAME_BYTES * ESCAPED_BYTES {
        return Err(too_long());
    }
    let name = decoded(name).ok_or_else(unreadable)?;
    if name.len() > MAX_NAME_BYTES {
        return Err(too_long());
    }
    if name.is_empty() { Err(missing()) } else { Ok(name.into_owned()) }
}

fn flag(value: Option<&[u8]>, name: &'static str) -> Result<bool, OpenAiError> {
    match value {
        None | Some(b"null" | b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(other) => Err(wrong_type(name, "a boolean", other)),
    }
}

fn include_usage(options: &[u8]) -> Result<bool, OpenAiError> {
    let all = members(options).ok_or_else(|| wrong_type("stream_options", "an object", options))?;
    let asked = all.flatten().filter(|member| &*decoded_key(member.key) == b"include_usage").last();
    flag(asked.map(|member| member.value), "stream_options.include_usage")
}

/// A key without its escapes.
fn decoded_key(key: &[u8]) -> Cow<'_, [u8]> {
    if !key.contains(&b'\\') {
        return Cow::Borrowed(key);
    }
    decoded(key).map_or(Cow::Borrowed(key), |text| Cow::Owned(text.into_owned().into_bytes()))
}

/// The text of a string that is given as it lies between its quotes.
fn decoded(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.contains(&b'\\') {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let quoted = [b"\"", text, b"\""].concat();
    let limits = Limits::default().max_frame_bytes(usize::MAX);
    codec::from_frame(Format::Json, &limits, &quoted).ok().map(Cow::Owned)
}
