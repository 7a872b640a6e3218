//! The shape of an item: text, a delta, or an object that is passed on.

use std::borrow::Cow;

use super::json_walk::{Malformed, Member, elements, is_empty_list, is_null, kind, members, string};
use super::wrong_item::shown;

/// Keys of an object that logs name, at most.
const KEYS: usize = 5;

/// Characters of a key that logs show.
const KEY: usize = 40;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A JSON string: more of the answer's text.
    Text,
    /// An object that holds a part of a message and no `choices`; `null` and `{}`, which hold nothing.
    Delta,
    /// An object with `choices`, or one that tells of an error.
    Envelope,
}

/// Members of an item that tell its shape.
#[derive(Debug, Default)]
pub(super) struct Outline<'t> {
    pub(super) choices: Option<Member<'t>>,
    pub(super) usage: Option<&'t [u8]>,
    pub(super) error: bool,
    /// What its keys tell, whatever their values are.
    keys: Keys,
}

/// What the keys of an object tell of its shape; a later one outweighs those before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keys {
    #[default]
    Absent,
    /// Only keys that tell nothing.
    Unknown,
    /// There is the key of the choices.
    Chunk,
    /// There is a key that deltas have.
    Delta,
}

impl<'t> Outline<'t> {
    pub(super) fn of(item: &'t [u8]) -> Result<Self, Cow<'static, str>> {
        let mut outline = Self::default();
        for member in members(item).ok_or_else(|| no_part(item))? {
            let member = member.map_err(no_json)?;
            let told = match member.key {
                b"choices" => {
                    outline.choices = Some(member).filter(|choices| !is_null(choices.value));
                    Keys::Chunk
                }
                b"error" => {
                    outline.error = !is_null(member.value);
                    Keys::Absent
                }
                b"usage" => {
                    outline.usage = Some(member.value);
                    Keys::Delta
                }
                key if is_delta_key(key) => Keys::Delta,
                _ => Keys::Unknown,
            };
            outline.keys = outline.keys.max(told);
        }
        Ok(outline)
    }

    /// The shape of the object; none if it has only keys that tell nothing.
    pub(super) fn shape(&self) -> Option<Shape> {
        if self.choices.is_some() || self.error {
            return Some(Shape::Envelope);
        }
        match self.keys {
            Keys::Absent | Keys::Delta => Some(Shape::Delta),
            Keys::Chunk => Some(Shape::Envelope),
            Keys::Unknown => None,
        }
    }

    /// True for the chunk that tells the usage and holds nothing else.
    pub(super) fn is_usage_chunk(&self) -> bool {
        let empty = self.choices.is_some_and(|choices| is_empty_list(choices.value));
        empty && self.usage.is_some_and(|usage| usage.starts_with(b"{"))
    }

    /// True for what is not a chunk but the whole answer of a chat.
    pub(super) fn is_whole_message(&self) -> bool {
        let first = self.choices.and_then(|choices| elements(choices.value)?.next()?.ok());
        let keys =
            first.and_then(|choice| members(choice.value)).into_iter().flatten().flatten().map(|member| member.key);
        keys.fold((false, false), |(message, delta), key| (message || key == b"message", delta || key == b"delta"))
            == (true, false)
    }
}

impl Shape {
    /// The shape of an item; an error says what was found that can be no part of an answer.
    pub(super) fn of(item: &[u8]) -> Result<Self, Cow<'static, str>> {
        match item.first() {
            Some(b'"') if string(item).is_some() => Ok(Self::Text),
            Some(b'{') => Outline::of(item)?.shape().ok_or_else(|| no_known_key(item)),
            _ if is_null(item) => Ok(Self::Delta),
            _ => Err(no_part(item)),
        }
    }
}

/// True for the keys of which a delta has at least one.
#[inline]
pub(super) fn is_delta_key(key: &[u8]) -> bool {
    matches!(
        key,
        b"content"
            | b"text"
            | b"role"
            | b"tool_calls"
            | b"refusal"
            | b"reasoning_content"
            | b"reasoning"
            | b"reasoning_details"
            | b"thinking_blocks"
            | b"images"
            | b"function_call"
            | b"audio"
            | b"annotations"
            | b"finish_reason"
            | b"logprobs"
            | b"usage"
    )
}

/// What is said of an object that is neither a delta nor a chunk.
#[cold]
pub(super) fn no_known_key(item: &[u8]) -> Cow<'static, str> {
    let mut keys = members(item).into_iter().flatten().flatten().map(|member| shown(member.key, KEY));
    let mut named: Vec<_> = keys.by_ref().take(KEYS).map(|key| format!("\"{key}\"")).collect();
    if keys.next().is_some() {
        named.push("…".into());
    }
    let keys = named.join(", ");
    format!(
        "an object with the keys {keys} where the text of an answer, a delta (\"content\": …) or a chunk (\"choices\": …) is due"
    )
    .into()
}

/// What is said of an item that is neither text nor an object.
#[cold]
pub(super) fn no_part(item: &[u8]) -> Cow<'static, str> {
    format!("{} where the text of an answer, a delta or a chunk is due", kind(item)).into()
}

#[cold]
pub(super) fn no_json(_: Malformed) -> Cow<'static, str> {
    "an item that is no JSON in one line".into()
}
