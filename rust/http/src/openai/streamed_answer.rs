//! A streamed answer: the handler's items as server-sent events.

use std::borrow::Cow;

use bytes::Bytes;
use pybridge::{Batch, StreamError};

use super::chunk_from_delta::Deltas;
use super::endpoint::Endpoint;
use super::handler_made_chunks::{Chunks, Fate};
use super::item_shape::{Outline, Shape};
use super::json_walk::is_null;
use super::request_members::Asked;
use super::wrong_item::{returned_none, yielded_item};

const DATA: &[u8] = b"data: ";
const END: &[u8] = b"\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Written {
    /// Events to send; may be none at all.
    pub(crate) bytes: Bytes,
    /// What is wrong with the first item that could not be sent, after those that could. The stream is over.
    pub(crate) failure: Option<StreamError>,
}

/// Makes the events of one streamed answer. The first item tells whether the handler yields chunks, which are passed on, or text
/// and deltas, which are put into chunks.
#[derive(Debug)]
pub(crate) struct Events {
    endpoint: Endpoint,
    asked: Asked,
    id: String,
    created: u64,
    /// The handler returns its only item.
    unary: bool,
    mode: Mode,
    /// Number of the items in the batches so far.
    items: usize,
}

#[derive(Debug)]
enum Mode {
    /// No item has come yet.
    Unknown,
    Chunks {
        chunks: Chunks,
        /// The event that tells the usage.
        usage: Option<Vec<u8>>,
    },
    Deltas(Deltas),
}

impl Events {
    /// `id`: of the request. `created`: seconds since 1970.
    pub(crate) fn new(endpoint: Endpoint, asked: Asked, id: &str, created: u64) -> Self {
        Self { endpoint, asked, id: id.to_owned(), created, unary: false, mode: Mode::Unknown, items: 0 }
    }

    /// Sets whether the handler returns one value; then that is not None.
    pub(crate) fn unary(self, unary: bool) -> Self {
        Self { unary, ..self }
    }

    /// The events of a batch that is framed as server-sent events. Chunks that need no change share the batch's memory.
    pub(crate) fn write(&mut self, batch: &mut Batch) -> Written {
        if let (Mode::Unknown, Some(first)) = (&self.mode, batch.range(0)) {
            let first = item_of(&batch.bytes()[first]);
            if self.unary && is_null(first) {
                return Written { bytes: Bytes::new(), failure: Some(returned_none()) };
            }
            match self.mode_for(first) {
                Ok(mode) => self.mode = mode,
                Err(what) => return Written { bytes: Bytes::new(), failure: Some(yielded_item(what, 1, first)) },
            }
        }
        let before = self.items;
        self.items += batch.frames();
        match &mut self.mode {
            Mode::Unknown => Written { bytes: Bytes::new(), failure: None },
            Mode::Chunks { chunks, usage } => pass(batch, before, chunks, usage),
            Mode::Deltas(deltas) => splice(batch, before, deltas),
        }
    }

    /// The events that end the answer of a handler that has finished: the last chunk of deltas, the usage if it was asked for and
    /// is known, `[DONE]`.
    pub(crate) fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Mode::Unknown = self.mode {
            self.mode = Mode::Deltas(self.deltas());
        }
        match &mut self.mode {
            Mode::Unknown => {}
            Mode::Chunks { usage, .. } => {
                out.extend(usage.take().filter(|_| self.asked.include_usage).unwrap_or_default());
            }
            Mode::Deltas(deltas) => {
                deltas.begin(&mut out);
                deltas.last(&mut out);
                if self.asked.include_usage {
                    deltas.usage(&mut out);
                }
            }
        }
        out.extend_from_slice(DONE);
        out.into()
    }

    fn mode_for(&self, first: &[u8]) -> Result<Mode, Cow<'static, str>> {
        Ok(match Shape::of(first)? {
            Shape::Text | Shape::Delta => Mode::Deltas(self.deltas()),
            Shape::Envelope if Outline::of(first)?.is_whole_message() => {
                return Err("a whole answer where its chunks are due".into());
            }
            Shape::Envelope => Mode::Chunks { chunks: Chunks::default(), usage: None },
        })
    }

    fn deltas(&self) -> Deltas {
        Deltas::new(self.endpoint, &self.id, self.created, &self.asked.model, self.asked.include_usage)
    }
}

/// The item of an event.
#[inline]
pub(super) fn item_of(frame: &[u8]) -> &[u8] {
    let item = frame.strip_prefix(DATA).unwrap_or(frame);
    item.strip_suffix(END).unwrap_or(item)
}

/// `before`: number of the items before the batch.
fn pass(batch: &mut Batch, before: usize, chunks: &mut Chunks, usage: &mut Option<Vec<u8>>) -> Written {
    let bytes = batch.bytes();
    // What was written so far if something changed, and the end of the bytes that it covers.
    let (mut out, mut done) = (None::<Vec<u8>>, 0);
    let (mut end, mut failure) = (bytes.len(), None);
    for index in 0..batch.frames() {
        let Some(range) = batch.range(index) else { break };
        let frame = &bytes[range.clone()];
        let mut replace = |from: usize, to: usize, with: &[u8]| {
            let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len() + 64));
            out.extend_from_slice(&bytes[done..from]);
            out.extend_from_slice(with);
            done = to;
        };
        match chunks.look(item_of(frame)) {
            Ok(Fate::Pass) => {}
            Ok(Fate::Hold) => {
                *usage = Some(frame.to_vec());
                replace(range.start, range.end, b"");
            }
            Ok(Fate::Null(places)) => {
                for place in places {
                    let start = range.start + DATA.len();
                    replace(start + place.start, start + place.end, b"null");
                }
            }
            Err(what) => {
                (end, failure) = (range.start, Some(yielded_item(what, before + index + 1, item_of(frame))));
                break;
            }
        }
    }
    let bytes = match out {
        None => batch.slice(0..end),
        Some(mut out) => {
            out.extend_from_slice(&bytes[done..end]);
            out.into()
        }
    };
    Written { bytes, failure }
}

/// `before`: number of the items before the batch.
fn splice(batch: &Batch, before: usize, deltas: &mut Deltas) -> Written {
    let bytes = batch.bytes();
    let mut out = Vec::with_capacity(bytes.len() + batch.frames() * deltas.overhead());
    let mut failure = None;
    for (number, range) in (before + 1..).zip((0..batch.frames()).map_while(|index| batch.range(index))) {
        let item = item_of(&bytes[range]);
        if let Err(what) = deltas.item(item, &mut out) {
            failure = Some(yielded_item(what, number, item));
            break;
        }
    }
    Written { bytes: out.into(), failure }
}
