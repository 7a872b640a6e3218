//! Calls of tools in deltas: the call that each element of their lists is a part of.

use std::borrow::Cow;
use std::collections::HashMap;

use super::item_shape::no_json;
use super::json_walk::{elements, is_null, members, string};

type Result<T> = std::result::Result<T, Cow<'static, str>>;

/// Gives the elements of one message the index that clients merge them by.
///
/// An element that has an index keeps it. One without begins the next call if its id is new, and else continues the call with this
/// id, or the last call if it has none. In one list a second name without an id begins a call too: nothing else tells whole calls
/// without ids apart. An id is told once, as clients join what they are told of a call.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Indexes by id; an id is as it lies.
    by_id: HashMap<Box<[u8]>, u64>,
    /// Above all indexes so far.
    next: u64,
    last: Option<u64>,
}

/// What an element says of its call.
#[derive(Debug, Default)]
struct Element<'t> {
    index: Option<u64>,
    id: Option<&'t [u8]>,
    /// It names what is called.
    named: bool,
    /// It has members that are `null`.
    nulls: bool,
}

impl Calls {
    /// The list `tool_calls` of a delta with an index in each element and without what is `null`; borrowed if that is how it was.
    /// What is no list is given back. An error says what an element is instead.
    pub(super) fn complete<'t>(&mut self, list: &'t [u8]) -> Result<Cow<'t, [u8]>> {
        let mut changed = None::<Vec<u8>>;
        let mut named = false;
        for element in elements(list).into_iter().flatten() {
            let element = element.map_err(no_json)?;
            let before = || {
                let before = list[..element.at].trim_ascii();
                before.strip_suffix(b",").unwrap_or(before).to_vec()
            };
            if is_null(element.value) {
                changed.get_or_insert_with(before);
                continue;
            }
            let call = Element::of(element.value)?;
            let index = self.index(&call, named);
            named |= call.named;
            let told = call.id.is_some_and(|id| self.by_id.insert(id.into(), index) == Some(index));
            let keeps = call.index.is_some() && !call.nulls && !told;
            if keeps && changed.is_none() {
                continue;
            }
            let out = changed.get_or_insert_with(before);
            if out.last() != Some(&b'[') {
                out.push(b',');
            }
            if keeps {
                out.extend_from_slice(element.value);
            } else {
                write(element.value, index, told, out);
            }
        }
        Ok(changed.map_or(Cow::Borrowed(list), |mut out| {
            out.push(b']');
            Cow::Owned(out)
        }))
    }

    /// The index of an element's call. `named`: an element before it in its list has a name.
    fn index(&mut self, call: &Element<'_>, named: bool) -> u64 {
        let continued = match call.id {
            Some(id) => self.by_id.get(id).copied(),
            None if call.named && named => None,
            None => self.last,
        };
        let index = call.index.or(continued).unwrap_or(self.next);
        self.next = self.next.max(index.saturating_add(1));
        self.last = Some(index);
        index
    }
}

impl<'t> Element<'t> {
    fn of(text: &'t [u8]) -> Result<Self> {
        let mut call = Self::default();
        for member in members(text).ok_or("a call of a tool that is no object")? {
            let member = member.map_err(no_json)?;
            match member.key {
                _ if is_null(member.value) => call.nulls = true,
                b"index" => call.index = std::str::from_utf8(member.value).ok().and_then(|index| index.parse().ok()),
                b"id" => call.id = string(member.value).filter(|id| !id.is_empty()),
                b"function" | b"custom" => call.named |= has_name(member.value),
                _ => {}
            }
        }
        Ok(call)
    }
}

fn has_name(called: &[u8]) -> bool {
    let mut all = members(called).into_iter().flatten().flatten();
    all.any(|member| member.key == b"name" && string(member.value).is_some_and(|name| !name.is_empty()))
}

/// Writes an element with this index and without what is `null`; `told`: without its id.
fn write(element: &[u8], index: u64, told: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"index\":{index}").as_bytes());
    for member in members(element).into_iter().flatten().flatten() {
        if is_null(member.value) || member.key == b"index" || told && member.key == b"id" {
            continue;
        }
        for part in [b",\"", member.key, b"\":", member.value] {
            out.extend_from_slice(part);
        }
    }
    out.push(b'}');
}
