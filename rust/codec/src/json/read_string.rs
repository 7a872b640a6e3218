//! JSON strings, read.
#![expect(clippy::inline_always, reason = "most strings are a few compares, and a call costs as much")]

use crate::error::{BoxedError, invalid};
use crate::simd::{Plain, plain};

/// The text of a string; where it ends is the reader's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) bytes: &'t [u8],
    pub(super) ascii: bool,
    /// Offset after the closing quote.
    pub(super) end: usize,
}

/// Reads the string whose first byte after the quote is at `start`.
///
/// The text is a part of `input`, or of `scratch` where the string has escapes.
#[inline(always)]
pub(super) fn read<'t>(input: &'t [u8], start: usize, scratch: &'t mut Vec<u8>) -> Result<Text<'t>, BoxedError> {
    let Plain { end, ascii } = plain(input, start);
    match input.get(end) {
        Some(b'"') => Ok(Text { bytes: &input[start..end], ascii, end: end + 1 }),
        Some(b'\\') => unescape(input, start, end, scratch),
        _ => Err(broken(input, end)),
    }
}

#[inline(never)]
fn unescape<'t>(input: &[u8], start: usize, mut at: usize, text: &'t mut Vec<u8>) -> Result<Text<'t>, BoxedError> {
    text.clear();
    text.extend_from_slice(&input[start..at]);
    loop {
        match input.get(at) {
            Some(b'"') => return Ok(Text { ascii: text.is_ascii(), bytes: text, end: at + 1 }),
            Some(b'\\') => at = escape(input, at, text)?,
            _ => return Err(broken(input, at)),
        }
        let end = plain(input, at).end;
        text.extend_from_slice(&input[at..end]);
        at = end;
    }
}

/// Reads the escape at `at`; gives the offset after it.
fn escape(input: &[u8], at: usize, text: &mut Vec<u8>) -> Result<usize, BoxedError> {
    let byte = match input.get(at + 1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode(input, at, text),
        Some(_) => return Err(invalid(at, "an unknown escape")),
        None => return Err(broken(input, at + 1)),
    };
    text.push(byte);
    Ok(at + 2)
}

/// Reads `\uXXXX`, or the two of a surrogate pair.
fn unicode(input: &[u8], at: usize, text: &mut Vec<u8>) -> Result<usize, BoxedError> {
    let high = hex(input, at + 2)?;
    let (point, end) = match high {
        0xd800..0xdc00 if input[at + 6..].starts_with(b"\\u") => {
            let low = hex(input, at + 8)?;
            let pair = (0xdc00..0xe000).contains(&low);
            (if pair { 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) } else { high }, at + 12)
        }
        _ => (high, at + 6),
    };
    let Some(char) = char::from_u32(point) else {
        return Err(invalid(at, format!("the lone surrogate \\u{high:04x}, which UTF-8 cannot hold")));
    };
    text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(end)
}

fn hex(input: &[u8], at: usize) -> Result<u32, BoxedError> {
    let Some(digits) = input.get(at..at + 4) else {
        return Err(broken(input, input.len()));
    };
    let mut value = 0;
    for &digit in digits {
        let Some(digit) = char::from(digit).to_digit(16) else {
            return Err(invalid(at, "expected four hex digits"));
        };
        value = value << 4 | digit;
    }
    Ok(value)
}

#[cold]
fn broken(input: &[u8], at: usize) -> BoxedError {
    if at >= input.len() {
        invalid(input.len(), "a string without its end")
    } else {
        invalid(at, "a control character in a string")
    }
}
