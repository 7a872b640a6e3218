//! An answer that is not streamed: the handler's only item, or its items merged.

use std::borrow::Cow;

use pybridge::StreamError;

use super::chunk_from_delta::Deltas;
use super::endpoint::Endpoint;
use super::handler_made_chunks::Chunks;
use super::item_shape::{Outline, Shape};
use super::json_walk::is_null;
use super::merge_chunks::{ANSWER, Object, Room};
use super::request_members::Asked;
use super::streamed_answer::item_of;
use super::wrong_item::{returned_none, yielded, yielded_item};

/// Makes one answer of a handler's items.
///
/// An only item that is an answer already, or tells of an error, is the answer as it is. Chunks are merged; text and
/// deltas become the chunks of a streamed answer first, so that both kinds of answer say the same.
#[derive(Debug)]
pub(crate) struct Merger {
    endpoint: Endpoint,
    asked: Asked,
    id: String,
    created: u64,
    /// The handler returns its only item.
    unary: bool,
    /// The first item, while it is the only one.
    first: Option<Vec<u8>>,
    mode: Mode,
    /// Number of the items so far.
    items: usize,
    /// The chunk of a delta, on its way into the answer.
    event: Vec<u8>,
    answer: Object,
    room: Room,
}

#[derive(Debug)]
enum Mode {
    /// No item has come yet, or only the first.
    Unknown,
    Chunks(Chunks),
    Deltas(Box<Deltas>),
}

impl Merger {
    /// `id`: of the request. `created`: seconds since 1970.
    pub(crate) fn new(endpoint: Endpoint, asked: Asked, id: &str, created: u64) -> Self {
        Self {
            endpoint,
            asked,
            id: id.to_owned(),
            created,
            unary: false,
            first: None,
            mode: Mode::Unknown,
            items: 0,
            event: Vec::new(),
            answer: Object::default(),
            room: Room::default(),
        }
    }

    /// Sets whether the handler returns one value; then that is not None.
    pub(crate) fn unary(self, unary: bool) -> Self {
        Self { unary, ..self }
    }

    /// Takes an item: JSON, with white space around it or not.
    ///
    /// # Errors
    /// The handler's failure: the item is no part of an answer, contradicts one before, or makes the answer larger than 256 MiB.
    pub(crate) fn add(&mut self, item: &[u8]) -> Result<(), StreamError> {
        let item = item.trim_ascii();
        if self.unary && is_null(item) {
            return Err(returned_none());
        }
        self.items += 1;
        if let Mode::Unknown = self.mode {
            let Some(first) = self.first.take() else {
                Shape::of(item).map_err(|what| yielded_item(what, 1, item))?;
                self.first = Some(item.to_vec());
                return Ok(());
            };
            self.merge(&first).map_err(|what| yielded_item(what, 1, &first))?;
        }
        self.merge(item).map_err(|what| yielded_item(what, self.items, item))
    }

    /// The answer, when the handler has finished.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, StreamError> {
        if let Some(first) = self.first.take() {
            let failure = |what| yielded_item(what, 1, &first);
            if self.is_answer(&first).map_err(failure)? {
                return Ok(first);
            }
            self.merge(&first).map_err(failure)?;
        } else if let Mode::Unknown = self.mode {
            self.mode = Mode::Deltas(Box::new(self.deltas()));
        }
        if let Mode::Deltas(mut deltas) = std::mem::replace(&mut self.mode, Mode::Unknown) {
            for write in [Deltas::begin, Deltas::last, |deltas: &mut Deltas, out: &mut Vec<u8>| deltas.usage(out)] {
                write(&mut deltas, &mut self.event);
                self.merge_event().map_err(yielded)?;
            }
        }
        self.answer.complete(self.endpoint.whole());
        let mut out = Vec::new();
        self.answer.write(&mut out);
        Ok(out)
    }

    /// True if an only item is an answer as it is.
    fn is_answer(&self, item: &[u8]) -> Result<bool, Cow<'static, str>> {
        if Shape::of(item)? != Shape::Envelope {
            return Ok(false);
        }
        let outline = Outline::of(item)?;
        Ok(match self.endpoint {
            _ if outline.choices.is_none() => true,
            Endpoint::Chat => outline.is_whole_message(),
            Endpoint::Completions => true,
        })
    }

    fn merge(&mut self, item: &[u8]) -> Result<(), Cow<'static, str>> {
        if let Mode::Unknown = self.mode {
            self.mode = match Shape::of(item)? {
                Shape::Envelope => Mode::Chunks(Chunks::default()),
                Shape::Text | Shape::Delta => Mode::Deltas(Box::new(self.deltas())),
            };
        }
        match &mut self.mode {
            Mode::Unknown => Ok(()),
            Mode::Chunks(chunks) => {
                chunks.look(item)?;
                self.answer.merge(item, &ANSWER, &mut self.room)
            }
            Mode::Deltas(deltas) => {
                deltas.item(item, &mut self.event)?;
                self.merge_event()
            }
        }
    }

    /// Merges the chunk that was written as an event, if there was one.
    fn merge_event(&mut self) -> Result<(), Cow<'static, str>> {
        let merged = match item_of(&self.event) {
            [] => Ok(()),
            chunk => self.answer.merge(chunk, &ANSWER, &mut self.room),
        };
        self.event.clear();
        merged
    }

    fn deltas(&self) -> Deltas {
        Deltas::new(self.endpoint, &self.id, self.created, &self.asked.model, false)
    }
}
