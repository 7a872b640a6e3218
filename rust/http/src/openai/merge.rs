//! An answer that is not streamed: the handler's only item, or its items merged.

use std::borrow::Cow;

use pybridge::StreamError;

use super::delta::Deltas;
use super::endpoint::Endpoint;
use super::failure::yielded;
use super::merged::{ANSWER, Object, Room};
use super::request::Asked;
use super::shape::{Outline, Shape};

/// Makes one answer of a handler's items.
///
/// An only item that is an answer already, or nothing that is known here, is the answer as it is. Chunks are merged; text and
/// deltas become the chunks of a streamed answer first, so that both kinds of answer say the same.
#[derive(Debug)]
pub(crate) struct Merger {
    endpoint: Endpoint,
    asked: Asked,
    id: String,
    created: u64,
    /// The first item, while it is the only one.
    first: Option<Vec<u8>>,
    mode: Mode,
    answer: Object,
    room: Room,
}

#[derive(Debug)]
enum Mode {
    /// No item has come yet, or only the first.
    Unknown,
    Chunks,
    Deltas(Deltas),
}

impl Merger {
    /// `id`: of the request. `created`: seconds since 1970.
    pub(crate) fn new(endpoint: Endpoint, asked: Asked, id: &str, created: u64) -> Self {
        Self {
            endpoint,
            asked,
            id: id.to_owned(),
            created,
            first: None,
            mode: Mode::Unknown,
            answer: Object::default(),
            room: Room::default(),
        }
    }

    /// Takes an item: JSON, with white space around it or not.
    ///
    /// # Errors
    /// The handler's failure: the item is no part of an answer, contradicts one before, or makes the answer larger than 256 MiB.
    pub(crate) fn add(&mut self, item: &[u8]) -> Result<(), StreamError> {
        self.try_add(item.trim_ascii()).map_err(yielded)
    }

    /// The answer, when the handler has finished.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, StreamError> {
        if let Some(first) = self.first.take() {
            if self.is_answer(&first).map_err(yielded)? {
                return Ok(first);
            }
            self.merge(&first).map_err(yielded)?;
        } else if let Mode::Unknown = self.mode {
            self.mode = Mode::Deltas(self.deltas());
        }
        if let Mode::Deltas(mut deltas) = std::mem::replace(&mut self.mode, Mode::Chunks) {
            let mut events = Vec::new();
            deltas.last(&mut events);
            deltas.usage(&mut events);
            self.events(&events).map_err(yielded)?;
        }
        self.answer.complete(self.endpoint.whole());
        let mut out = Vec::new();
        self.answer.write(&mut out);
        Ok(out)
    }

    fn try_add(&mut self, item: &[u8]) -> Result<(), Cow<'static, str>> {
        if let Mode::Unknown = self.mode {
            if let Some(first) = self.first.take() {
                self.merge(&first)?;
            } else {
                Shape::of(item)?;
                self.first = Some(item.to_vec());
                return Ok(());
            }
        }
        self.merge(item)
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
        let shape = Shape::of(item)?;
        if let Mode::Unknown = self.mode {
            self.mode = if shape == Shape::Envelope { Mode::Chunks } else { Mode::Deltas(self.deltas()) };
        }
        match &mut self.mode {
            Mode::Deltas(deltas) => {
                let mut events = Vec::with_capacity(item.len() + deltas.overhead());
                deltas.item(item, &mut events)?;
                self.events(&events)
            }
            _ if shape != Shape::Envelope => Err("text or a delta among chunks".into()),
            _ => self.answer.merge(item, &ANSWER, &mut self.room),
        }
    }

    fn events(&mut self, events: &[u8]) -> Result<(), Cow<'static, str>> {
        // JSON that was written by the encoder has no line break.
        for line in events.split(|byte| *byte == b'\n') {
            if let Some(chunk) = line.strip_prefix(b"data: ") {
                self.answer.merge(chunk, &ANSWER, &mut self.room)?;
            }
        }
        Ok(())
    }

    fn deltas(&self) -> Deltas {
        Deltas::new(self.endpoint, &self.id, self.created, &self.asked.model, false)
    }
}
