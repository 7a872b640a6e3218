//! Text of several lines as one server-sent event: each line after a `data:` of its own.

use crate::encode::frame_sink::{Halt, Sink};

/// The lines of a text that comes in pieces; CR, LF and CRLF end a line
/// ([HTML, parsing an event stream](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)).
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The last piece ended with a carriage return; a newline now belongs to it.
    after_cr: bool,
}

impl Lines {
    /// Writes the next piece; the first line's `data:` is there already.
    pub(super) fn put(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Halt> {
        let mut rest = text;
        if self.after_cr && rest.first() == Some(&b'\n') {
            rest = &rest[1..];
        }
        self.after_cr = if text.is_empty() { self.after_cr } else { text.ends_with(b"\r") };
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            sink.put(&rest[..end])?;
            sink.put(b"\ndata: ")?;
            let crlf = rest[end..].starts_with(b"\r\n");
            rest = &rest[end + 1 + usize::from(crlf)..];
        }
        sink.put(rest)
    }
}
