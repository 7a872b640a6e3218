//! The shape of an item: text, a delta, or an object that is passed on.

use std::borrow::Cow;

use super::text::{Malformed, Member, elements, is_empty_list, is_null, kind, members, string};

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A JSON string: more of the answer's text.
    Text,
    /// An object that holds a part of a message and no `choices`; `null`, which holds nothing.
    Delta,
    /// An object with `choices`, or one that is nothing that is known here.
    Envelope,
}

/// Members of an item that tell its shape.
#[derive(Debug, Default)]
pub(super) struct Outline<'t> {
    pub(super) choices: Option<Member<'t>>,
    pub(super) usage: Option<&'t [u8]>,
    pub(super) error: bool,
    /// There is a key that deltas have.
    delta: bool,
}

impl<'t> Outline<'t> {
    pub(super) fn of(item: &'t [u8]) -> Result<Self, Cow<'static, str>> {
        let mut outline = Self::default();
        for member in members(item).ok_or_else(|| no_part(item))? {
            let member = member.map_err(no_json)?;
            match member.key {
                b"choices" => outline.choices = Some(member).filter(|choices| !is_null(choices.value)),
                b"error" => outline.error = !is_null(member.value),
                b"usage" => (outline.usage, outline.delta) = (Some(member.value), true),
                b"content" | b"text" | b"role" | b"tool_calls" | b"refusal" | b"reasoning_content" | b"reasoning"
                | b"function_call" | b"audio" | b"finish_reason" | b"logprobs" => outline.delta = true,
                _ => {}
            }
        }
        Ok(outline)
    }

    pub(super) fn shape(&self) -> Shape {
        if self.delta && self.choices.is_none() && !self.error { Shape::Delta } else { Shape::Envelope }
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
            Some(b'{') => Outline::of(item).map(|outline| outline.shape()),
            _ if is_null(item) => Ok(Self::Delta),
            _ => Err(no_part(item)),
        }
    }
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
