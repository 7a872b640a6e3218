//! The messages of HTTP/1.1 that a client sends: where their heads begin and end.

use memchr::memchr;

/// So much of a line is looked at, in bytes: more than the fields have that tell the length of a body.
const LOOKED_AT: usize = 64;

/// Follows the requests in what a client sends. Whether they are right is for hyper to say.
#[derive(Debug, Default)]
pub(super) struct Messages {
    part: Part,
    line: Line,
}

/// The part of a message that comes next.
#[derive(Debug)]
enum Part {
    /// Lines of a head; whether there was one, and the body that follows by what they say.
    Head { is_open: bool, body: Body },
    /// So many bytes of a body, or of a chunk and the end of its line.
    Bytes { left: u64, is_chunk: bool },
    /// The line with the length of a chunk.
    Length,
    /// The lines behind the last chunk.
    Trailers,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Bytes(u64),
    Chunks,
}

impl Default for Part {
    fn default() -> Self {
        Self::Head { is_open: false, body: Body::Bytes(0) }
    }
}

impl Messages {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Part::Bytes { left, is_chunk } = &mut self.part {
                let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= length as u64;
                bytes = &bytes[length..];
                if *left == 0 {
                    self.part = if *is_chunk { Part::Length } else { Part::default() };
                }
            } else if let Some(end) = memchr(b'\n', bytes) {
                let line = &bytes[..end];
                bytes = &bytes[end + 1..];
                if self.line.length == 0 {
                    self.part.line(without_end(line));
                } else {
                    self.line.take(line);
                    self.part.line(without_end(self.line.text()));
                    self.line.length = 0;
                }
            } else {
                self.line.take(bytes);
                return;
            }
        }
    }

    /// True while the rest of a head is to come. Empty lines in front of it are none of it.
    pub(super) fn are_open(&self) -> bool {
        matches!(self.part, Part::Head { is_open, .. } if is_open || !without_end(self.line.text()).is_empty())
    }
}

impl Part {
    /// Goes on by a whole line.
    fn line(&mut self, line: &[u8]) {
        *self = match self {
            Self::Head { is_open: false, .. } if line.is_empty() => return,
            Self::Head { body: Body::Chunks, .. } if line.is_empty() => Self::Length,
            Self::Head { body: Body::Bytes(0), .. } | Self::Trailers if line.is_empty() => Self::default(),
            Self::Head { body: Body::Bytes(left), .. } if line.is_empty() => {
                Self::Bytes { left: *left, is_chunk: false }
            }
            // Chunks outweigh a length.
            Self::Head { body: Body::Chunks, .. } | Self::Trailers | Self::Bytes { .. } => return,
            Self::Head { body, .. } => Self::Head { is_open: true, body: told(line).unwrap_or(*body) },
            Self::Length => match number(line, 16) {
                0 => Self::Trailers,
                length => Self::Bytes { left: length.saturating_add(2), is_chunk: true },
            },
        };
    }
}

/// What a line of a head tells of the body that follows.
fn told(line: &[u8]) -> Option<Body> {
    let (name, value) = line.split_at(memchr(b':', line)?);
    match name.len() {
        14 if name.eq_ignore_ascii_case(b"content-length") => Some(Body::Bytes(number(value[1..].trim_ascii(), 10))),
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Some(Body::Chunks),
        _ => None,
    }
}

/// The number that a text begins with; 0: none.
fn number(text: &[u8], base: u32) -> u64 {
    let digits = text.iter().map_while(|&byte| char::from(byte).to_digit(base));
    digits.fold(0_u64, |number, digit| number.saturating_mul(base.into()).saturating_add(digit.into()))
}

/// The beginning of the line that is under way.
#[derive(Debug)]
struct Line {
    text: [u8; LOOKED_AT],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { text: [0; LOOKED_AT], length: 0 }
    }
}

impl Line {
    fn take(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(LOOKED_AT - self.length)];
        self.text[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// A line without the carriage return before its end.
fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_open_from_its_first_byte_to_its_last_however_it_is_cut() {
        const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
        let long = format!("{HEAD}x-long: {}\r\n\r\n", "y".repeat(100));
        let table = [
            ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
            ("\r\n\r\n", "GET / HTTP/1.1\n\n", ""),
            ("", &*format!("{HEAD}Content-Length: 12\r\n\r\n"), "GET / \r\n\r\n\n\n"),
            ("", &*format!("{HEAD}content-length:0\r\n\r\n"), ""),
            ("", &*format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"), "A;x=1\r\n0123456789\r\n0\r\na: b\r\n\r\n"),
            ("", &*format!("{HEAD}transfer-encoding: chunked\r\n\r\n"), "1\r\n\n\r\n00\r\n\r\n"),
            ("", &*long, ""),
        ];
        for (before, head, body) in table {
            // Twice: what comes after a body is a head again.
            let bytes = [before, head, body, head, body].concat();
            let first = before.len()..before.len() + head.len();
            let second = first.end + body.len()..first.end + body.len() + head.len();
            for size in 1..=bytes.len() {
                let mut messages = Messages::default();
                let mut came = 0;
                for part in bytes.as_bytes().chunks(size) {
                    messages.take(part);
                    came += part.len();
                    let is_open = [&first, &second].iter().any(|head| came > head.start && came < head.end);
                    assert_eq!(messages.are_open(), is_open, "{bytes:?} by {size}, after {came}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        for text in [
            "\0\0\n\n",
            ":\n:\n\n",
            "a\nContent-Length: 99999999999999999999999\n\nb",
            "a\ntransfer-encoding:\n\nz\n\n",
        ] {
            Messages::default().take(text.as_bytes());
        }
    }
}
