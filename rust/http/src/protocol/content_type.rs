//! The format of a request, by its `Content-Type`.

use http::{HeaderMap, header};
use mediatype::{MediaType, ReadParams};
use pybridge::Format;

use super::request_refusals::unsupported;
use crate::failure_answer::Refusal;
use crate::media_types;

const NAME: &str = "content-type";

/// Subtypes of `application` that are `MessagePack`.
const MSGPACK: [&str; 3] = ["msgpack", "vnd.msgpack", "x-msgpack"];

/// Format of the body that these headers announce: JSON unless they say so. `takes_msgpack`: it may be `MessagePack`.
///
/// # Errors
/// It is of another type, in another charset than UTF-8, or compressed.
pub(super) fn format_of(headers: &HeaderMap, takes_msgpack: bool) -> Result<Format, Refusal> {
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported("content-encoding", "the body of the request must not be compressed"));
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(Format::Json),
        (Some(value), None) if value == media_types::JSON => return Ok(Format::Json),
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let media = value.and_then(|value| MediaType::parse(value.trim()).ok());
    let format = media.as_ref().and_then(format_named).filter(|format| takes_msgpack || *format == Format::Json);
    let (Some(media), Some(format)) = (media, format) else {
        return Err(unsupported(
            NAME,
            if takes_msgpack {
                "the body of the request must be application/json or application/msgpack"
            } else {
                "the body of the request must be application/json"
            },
        ));
    };
    if format == Format::Json
        && media.params().any(|(name, value)| name == "charset" && !is_utf8(&value.unquoted_str()))
    {
        return Err(unsupported(NAME, "the charset must be utf-8"));
    }
    Ok(format)
}

fn format_named(media: &MediaType<'_>) -> Option<Format> {
    if media.suffix.is_some_and(|suffix| suffix == "json") {
        return Some(Format::Json);
    }
    let is_application = media.ty == "application" && media.suffix.is_none();
    if is_application && media.subty == "json" {
        Some(Format::Json)
    } else {
        (is_application && MSGPACK.iter().any(|name| media.subty == *name)).then_some(Format::Msgpack)
    }
}

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}
