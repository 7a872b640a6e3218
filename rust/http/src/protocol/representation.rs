//! The forms that an answer can have.

use pybridge::{EngineProfile, Format, Framing};

use super::accept_header::Offer;
use crate::answer::Failures;
use crate::api::Api;
use crate::media_types;

/// A form of answers: its type, how items become it, and when they go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Representation {
    /// Type and subtype that clients ask for.
    names: (&'static str, &'static str),
    pub(super) content_type: &'static str,
    pub(super) framing: Framing,
    /// Format of the items; `None`: the engine's, or JSON in a framing that is text.
    pub(super) codec: Option<Format>,
    pub(super) delivery: Delivery,
}

/// When the items of an answer go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As they come.
    Stream(Failures),
    /// In a JSON array, when the handler has finished.
    Array,
    /// The one item, when the handler has finished.
    Value,
}

impl Offer for Representation {
    fn names(&self) -> (&'static str, &'static str) {
        self.names
    }
}

const LATE: Delivery = Delivery::Stream(Failures::End);

const EVENTS: Representation = Representation {
    names: ("text", "event-stream"),
    content_type: media_types::EVENTS,
    framing: Framing::Sse,
    codec: None,
    delivery: Delivery::Stream(Failures::Event(Api::Generic)),
};

const fn lines(sub: &'static str, content_type: &'static str) -> Representation {
    Representation { names: ("application", sub), content_type, framing: Framing::Ndjson, codec: None, delivery: LATE }
}

const fn msgpack(sub: &'static str, content_type: &'static str) -> Representation {
    let codec = Some(Format::Msgpack);
    Representation { names: ("application", sub), content_type, framing: Framing::None, codec, delivery: LATE }
}

const fn raw(names: (&'static str, &'static str), content_type: &'static str) -> Representation {
    Representation { names, content_type, framing: Framing::None, codec: None, delivery: LATE }
}

const fn json(delivery: Delivery) -> Representation {
    Representation {
        names: ("application", "json"),
        content_type: media_types::JSON,
        framing: Framing::Ndjson,
        codec: None,
        delivery,
    }
}

const NDJSON: Representation = lines("x-ndjson", media_types::LINES);
const JSONL: Representation = lines("jsonl", "application/jsonl");
const MSGPACK: Representation = msgpack("msgpack", media_types::MSGPACK);
const VND_MSGPACK: Representation = msgpack("vnd.msgpack", "application/vnd.msgpack");
const X_MSGPACK: Representation = msgpack("x-msgpack", "application/x-msgpack");

/// Of what a client likes as much, the first is taken.
const STREAMS: [Representation; 7] = [NDJSON, EVENTS, json(Delivery::Array), MSGPACK, JSONL, VND_MSGPACK, X_MSGPACK];
const VALUES: [Representation; 7] = [json(Delivery::Value), NDJSON, EVENTS, MSGPACK, JSONL, VND_MSGPACK, X_MSGPACK];
const RAW: [Representation; 5] = [
    NDJSON,
    EVENTS,
    raw(("application", "octet-stream"), media_types::BYTES),
    raw(("text", "plain"), media_types::TEXT),
    JSONL,
];

/// The forms that answers of such an engine can have.
pub(super) fn offers(profile: EngineProfile) -> &'static [Representation] {
    match profile {
        EngineProfile { format: Format::Raw, .. } => &RAW,
        EngineProfile { unary: true, .. } => &VALUES,
        _ => &STREAMS,
    }
}

/// What a client is told that it may ask for.
pub(super) fn names(profile: EngineProfile) -> &'static str {
    match profile.format {
        Format::Raw => "application/x-ndjson, text/event-stream, application/octet-stream or text/plain",
        _ => "application/x-ndjson, text/event-stream, application/json or application/msgpack",
    }
}
