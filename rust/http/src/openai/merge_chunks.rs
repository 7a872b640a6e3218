//! An answer that grows by chunks: which members are kept, replaced, joined or merged.
//!
//! Members keep the order in which they came. Values are text as it lies; strings that are joined are joined without their escapes
//! being looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::item_shape::no_json;
use super::json_walk::{elements, is_empty_text, is_null, members, string};

/// Most bytes that an answer may have: as many as the objects of one message may take by default.
const MAX_BYTES: usize = 256 << 20;

/// What a member costs beside its key and value.
const MEMBER: usize = 64;

type Result<T> = std::result::Result<T, Cow<'static, str>>;

/// What becomes of a member that comes again. Where `null` was, anything takes its place; `null` replaces nothing.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The first value stays; empty text is none.
    First,
    /// As `First`; another value is an error.
    Once,
    /// The last value counts.
    Last,
    /// As `Last`; empty text is `null`.
    LastReason,
    /// Text is joined.
    Join,
    /// Lists are joined.
    Append,
    /// Objects are merged.
    Merge(&'static Table),
    /// Objects of a list are merged by their `index`.
    ByIndex(&'static Table),
    /// It is left out.
    Skip,
    /// It may not be.
    Refuse,
}

/// The members that an object has a rule for.
#[derive(Debug)]
pub(super) struct Table {
    rules: &'static [(&'static [u8], Rule)],
    others: Rule,
}

/// A chunk, and the answer.
pub(super) static ANSWER: Table = Table {
    rules: &[
        (b"id", Rule::First),
        (b"created", Rule::First),
        (b"model", Rule::First),
        (b"system_fingerprint", Rule::First),
        (b"choices", Rule::ByIndex(&CHOICE)),
        (b"error", Rule::Refuse),
    ],
    others: Rule::Last,
};

static CHOICE: Table = Table {
    rules: &[
        (b"index", Rule::First),
        (b"delta", Rule::Merge(&MESSAGE)),
        (b"message", Rule::Refuse),
        (b"text", Rule::Join),
        (b"finish_reason", Rule::LastReason),
        (b"logprobs", Rule::Merge(&LISTS)),
    ],
    others: Rule::Last,
};

static MESSAGE: Table = Table {
    rules: &[
        (b"role", Rule::First),
        (b"content", Rule::Join),
        (b"refusal", Rule::Join),
        (b"reasoning_content", Rule::Join),
        (b"reasoning", Rule::Join),
        (b"tool_calls", Rule::ByIndex(&TOOL_CALL)),
        (b"function_call", Rule::Merge(&FUNCTION)),
        (b"audio", Rule::Merge(&AUDIO)),
    ],
    others: Rule::Last,
};

static TOOL_CALL: Table = Table {
    rules: &[
        (b"index", Rule::Skip),
        (b"id", Rule::Once),
        (b"type", Rule::First),
        (b"function", Rule::Merge(&FUNCTION)),
        (b"custom", Rule::Merge(&FUNCTION)),
    ],
    others: Rule::Last,
};

static FUNCTION: Table =
    Table { rules: &[(b"name", Rule::First), (b"arguments", Rule::Join), (b"input", Rule::Join)], others: Rule::Last };

static AUDIO: Table =
    Table { rules: &[(b"id", Rule::First), (b"data", Rule::Join), (b"transcript", Rule::Join)], others: Rule::Last };

static LISTS: Table = Table { rules: &[], others: Rule::Append };

/// The bytes that an answer may still grow by.
#[derive(Debug)]
pub(super) struct Room(usize);

/// An object that grows.
#[derive(Debug, Default)]
pub(super) struct Object(Vec<(Box<[u8]>, Value)>);

#[derive(Debug)]
enum Value {
    /// A value as it lies.
    Plain(Vec<u8>),
    /// A string as it lies between its quotes.
    Text(Vec<u8>),
    /// The elements of an array as they lie between its brackets.
    List(Vec<u8>),
    Object(Object),
    Objects(BTreeMap<u64, Object>),
}

impl Default for Room {
    fn default() -> Self {
        Self(MAX_BYTES)
    }
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or("more than the 256 MiB that one answer may have")?;
        Ok(())
    }
}

impl Table {
    fn rule(&self, key: &[u8]) -> Rule {
        self.rules.iter().find(|(name, _)| *name == key).map_or(self.others, |(_, rule)| *rule)
    }
}

impl Object {
    /// Merges the members of the object `text` by the rules of `table`; an error says what is wrong.
    pub(super) fn merge(&mut self, text: &[u8], table: &'static Table, room: &mut Room) -> Result<()> {
        for member in members(text).ok_or("a chunk with something else where an object is due")? {
            let member = member.map_err(no_json)?;
            let rule = table.rule(member.key);
            match rule {
                Rule::Refuse if is_null(member.value) => continue,
                Rule::Refuse if member.key == b"message" => return Err("a whole answer among others".into()),
                Rule::Refuse => return Err("an error among chunks".into()),
                Rule::Skip => continue,
                _ => {}
            }
            let key: &[u8] = if member.key == b"delta" { b"message" } else { member.key };
            self.slot(key, room)?.merge(member.value, rule, room)?;
        }
        Ok(())
    }

    /// The member with this key, which is made if it is not there.
    fn slot(&mut self, key: &[u8], room: &mut Room) -> Result<&mut Value> {
        let at = self.position(key);
        if at == self.0.len() {
            room.take(key.len() + MEMBER)?;
            self.0.push((key.into(), Value::Plain(b"null".to_vec())));
        }
        Ok(&mut self.0[at].1)
    }

    /// Where this key is, or would go.
    fn position(&self, key: &[u8]) -> usize {
        self.0.iter().position(|(name, _)| &**name == key).unwrap_or(self.0.len())
    }

    /// Makes an answer of merged chunks.
    pub(super) fn complete(&mut self, object: &str) {
        let object = Value::Plain(format!("\"{object}\"").into_bytes());
        let at = self.position(b"object");
        match self.0.get_mut(at) {
            Some((_, value)) => *value = object,
            None => self.0.push((b"object".as_slice().into(), object)),
        }
        let choices = self.0.iter_mut().filter_map(|(key, value)| match value {
            Value::Objects(choices) if **key == *b"choices" => Some(choices.values_mut()),
            _ => None,
        });
        let messages = choices.flatten().flat_map(|choice| &mut choice.0).filter_map(|(key, value)| match value {
            Value::Object(message) if **key == *b"message" => Some(message),
            _ => None,
        });
        for message in messages {
            for (key, default) in [(b"role".as_slice(), b"\"assistant\"".as_slice()), (b"content", b"null")] {
                if message.position(key) == message.0.len() {
                    message.0.push((key.into(), Value::Plain(default.to_vec())));
                }
            }
        }
    }

    /// Writes it as JSON.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (key, value)) in self.0.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            quote(&key, out);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
    }
}

impl Value {
    fn is_null(&self) -> bool {
        matches!(self, Self::Plain(value) if is_null(value))
    }

    fn merge(&mut self, new: &[u8], rule: Rule, room: &mut Room) -> Result<()> {
        let none = is_null(new) || is_empty_text(new) && matches!(rule, Rule::First | Rule::Once | Rule::LastReason);
        if none {
            return Ok(());
        }
        match rule {
            Rule::Join if string(new).is_some() => return self.join(string(new).unwrap_or_default(), room),
            Rule::Append if new.starts_with(b"[") && new.ends_with(b"]") => {
                return self.append(new[1..new.len() - 1].trim_ascii(), room);
            }
            Rule::Merge(table) if new.starts_with(b"{") => return self.object().merge(new, table, room),
            Rule::ByIndex(table) if new.starts_with(b"[") => return self.by_index(new, table, room),
            Rule::First if !self.is_null() => return Ok(()),
            Rule::Once if !self.is_null() => {
                let same = matches!(self, Self::Plain(old) if old == new);
                return if same { Ok(()) } else { Err("a second id for a tool call".into()) };
            }
            _ => {}
        }
        match self {
            Self::Plain(value) => {
                room.take(new.len().saturating_sub(value.len()))?;
                value.clear();
                value.extend_from_slice(new);
            }
            other => {
                room.take(new.len())?;
                *other = Self::Plain(new.to_vec());
            }
        }
        Ok(())
    }

    fn join(&mut self, new: &[u8], room: &mut Room) -> Result<()> {
        room.take(new.len())?;
        match self {
            Self::Text(text) => text.extend_from_slice(new),
            other => *other = Self::Text(new.to_vec()),
        }
        Ok(())
    }

    /// The object that it is, or becomes.
    fn object(&mut self) -> &mut Object {
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Object::default());
        }
        match self {
            Self::Object(object) => object,
            _ => unreachable!("made above"),
        }
    }

    fn append(&mut self, new: &[u8], room: &mut Room) -> Result<()> {
        room.take(new.len() + 1)?;
        match self {
            Self::List(all) => {
                if !all.is_empty() && !new.is_empty() {
                    all.push(b',');
                }
                all.extend_from_slice(new);
            }
            other => *other = Self::List(new.to_vec()),
        }
        Ok(())
    }

    fn by_index(&mut self, list: &[u8], table: &'static Table, room: &mut Room) -> Result<()> {
        if !matches!(self, Self::Objects(_)) {
            *self = Self::Objects(BTreeMap::new());
        }
        let Self::Objects(all) = self else { return Ok(()) };
        for (place, element) in (0..).zip(elements(list).into_iter().flatten()) {
            let element = element.map_err(no_json)?.value;
            let index = members(element).into_iter().flatten().flatten().find(|member| member.key == b"index");
            let index = index.and_then(|index| std::str::from_utf8(index.value).ok()?.parse().ok()).unwrap_or(place);
            if !all.contains_key(&index) {
                room.take(MEMBER)?;
            }
            all.entry(index).or_default().merge(element, table, room)?;
        }
        Ok(())
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(value) => out.extend_from_slice(&value),
            Self::Text(text) => quote(&text, out),
            Self::List(elements) => {
                out.push(b'[');
                out.extend_from_slice(&elements);
                out.push(b']');
            }
            Self::Object(object) => object.write(out),
            Self::Objects(objects) => {
                out.push(b'[');
                for (at, object) in objects.into_values().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    object.write(out);
                }
                out.push(b']');
            }
        }
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges chunks with this choice until there is no room; how many there was room for.
    fn fitting(choice: &str, mut room: Room) -> usize {
        let chunk = format!(r#"{{"choices":[{choice}]}}"#);
        let mut answer = Object::default();
        let refused = (0..5000).find(|_| answer.merge(chunk.as_bytes(), &ANSWER, &mut room).is_err());
        refused.unwrap_or(5000)
    }

    #[test]
    fn what_an_answer_holds_is_bounded() {
        let growing = [
            r#"{"delta":{"content":"0123456789"}}"#,
            r#"{"logprobs":{"content":["0123456"]}}"#,
            r#"{"delta":{"tool_calls":[{"function":{"arguments":"0123456789"}}]}}"#,
        ];
        for choice in growing {
            let fitting = fitting(choice, Room(10_400));
            assert!((900..=1040).contains(&fitting), "{choice}: {fitting}");
        }
        let many = (0..100).map(|index| format!(r#"{{"index":{index}}}"#)).collect::<Vec<_>>().join(",");
        assert_eq!(fitting(&many, Room(10_000)), 0, "an index costs as well");
        for replaced in [r#"{"delta":{"x":"0123456789"}}"#, r#"{"delta":{"role":"assistant"},"finish_reason":"stop"}"#]
        {
            assert_eq!(fitting(replaced, Room(1000)), 5000, "{replaced}");
        }
    }
}
