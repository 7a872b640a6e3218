//! Text and deltas, spliced into the envelope of their stream.

use std::borrow::Cow;

use pybridge::codec::{self, Format};
use serde::Serialize;

use super::endpoint::Endpoint;
use super::finish_reason;
use super::item_shape::{is_delta_key, no_json, no_known_key, no_part};
use super::json_walk::{is_empty_list, is_empty_text, is_null, members, string};
use super::tool_call_index::Calls;

/// What all chunks of a stream begin with.
#[derive(Serialize)]
struct Envelope<'text> {
    id: &'text str,
    object: &'static str,
    created: u64,
    model: &'text str,
}

/// Makes the chunks of a stream whose handler yields text and deltas.
#[derive(Debug)]
pub(super) struct Deltas {
    endpoint: Endpoint,
    /// `data: {"id":…,"object":…,"created":…,"model":…,"choices":[`
    envelope: Vec<u8>,
    /// The envelope and the choice, up to where the delta's members go.
    head: Vec<u8>,
    /// The head, and the key of a text.
    text_head: Vec<u8>,
    /// From the end of the choice on.
    tail: &'static [u8],
    /// A chunk has been written.
    begun: bool,
    /// There were calls of tools.
    tools: bool,
    calls: Calls,
    finish_reason: Option<Vec<u8>>,
    usage: Option<Vec<u8>>,
}

/// What a delta holds.
#[derive(Debug)]
struct Parts<'t> {
    finish_reason: Option<&'t [u8]>,
    usage: Option<&'t [u8]>,
    logprobs: Option<&'t [u8]>,
    /// Number of members that go into the message.
    members: usize,
    role: bool,
    text: bool,
    /// Calls of tools, each with its index.
    tools: Option<Cow<'t, [u8]>>,
    /// All of its members go into the message, as they lie.
    unchanged: bool,
}

impl Deltas {
    /// `null_usage`: chunks say that the usage is not known yet, as they do for those who asked for it.
    pub(super) fn new(endpoint: Endpoint, id: &str, created: u64, model: &str, null_usage: bool) -> Self {
        let id = format!("{}{id}", endpoint.id_prefix());
        let members = Envelope { id: &id, object: endpoint.chunk(), created, model };
        let mut envelope = b"data: ".to_vec();
        envelope
            .extend(codec::to_bytes(Format::Json, &members).expect("text and numbers have no reason to be refused"));
        envelope.pop();
        envelope.extend_from_slice(b",\"choices\":[");
        let choice: &[u8] = match endpoint {
            Endpoint::Chat => b"{\"index\":0,\"delta\":{",
            Endpoint::Completions => b"{\"index\":0,",
        };
        let head = [&envelope, choice].concat();
        Self {
            endpoint,
            text_head: [&*head, b"\"", endpoint.text_key(), b"\":"].concat(),
            envelope,
            head,
            tail: if null_usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" },
            begun: false,
            tools: false,
            calls: Calls::default(),
            finish_reason: None,
            usage: None,
        }
    }

    /// Bytes that a chunk has beside its item, at most.
    pub(super) fn overhead(&self) -> usize {
        self.head.len() + 96
    }

    /// Writes the chunk of an item, if it makes one, as a server-sent event; an error says what the item is instead.
    #[inline]
    pub(super) fn item(&mut self, item: &[u8], out: &mut Vec<u8>) -> Result<(), Cow<'static, str>> {
        match item.first() {
            Some(b'"') if string(item).is_some() => {
                self.text(item, out);
                self.close(None, b"null", out);
                Ok(())
            }
            Some(b'{') => self.object(item, out),
            _ if is_null(item) => Ok(()),
            _ => Err(no_part(item)),
        }
    }

    /// Writes a chunk without text if there has been none, so that the answer is a message all the same.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.text(b"\"\"", out);
            self.close(None, b"null", out);
        }
    }

    /// Writes the chunk with the finish reason, when the handler has finished.
    pub(super) fn last(&mut self, out: &mut Vec<u8>) {
        match self.endpoint {
            Endpoint::Chat => self.open(false, out),
            Endpoint::Completions => self.text(b"\"\"", out),
        }
        let given = self.finish_reason.take();
        self.close(None, finish_reason::of_deltas(given.as_deref(), self.tools), out);
    }

    /// Writes the chunk that tells the usage, if it is known.
    pub(super) fn usage(&self, out: &mut Vec<u8>) {
        if let Some(usage) = &self.usage {
            for part in [&*self.envelope, b"],\"usage\":", usage, b"}\n\n"] {
                out.extend_from_slice(part);
            }
        }
    }

    /// Begins a chunk; the first one of a chat names the role, unless the delta does.
    fn open(&mut self, role: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if !self.begun && !role && self.endpoint == Endpoint::Chat {
            out.extend_from_slice(b"\"role\":\"assistant\"");
        }
        self.begun = true;
    }

    /// Begins a chunk with this text, a JSON string.
    #[inline]
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if self.begun {
            out.extend_from_slice(&self.text_head);
        } else {
            self.open(false, out);
            self.key(self.endpoint.text_key(), out);
        }
        out.extend_from_slice(text);
    }

    #[expect(clippy::unused_self, reason = "steps of one chunk are called alike")]
    fn key(&self, key: &[u8], out: &mut Vec<u8>) {
        separate(out);
        for part in [b"\"", key, b"\":"] {
            out.extend_from_slice(part);
        }
    }

    /// Ends a chunk.
    #[inline]
    fn close(&self, logprobs: Option<&[u8]>, finish_reason: &[u8], out: &mut Vec<u8>) {
        if self.endpoint == Endpoint::Chat {
            out.push(b'}');
        }
        if let Some(logprobs) = logprobs {
            self.key(b"logprobs", out);
            out.extend_from_slice(logprobs);
        }
        out.extend_from_slice(b",\"finish_reason\":");
        out.extend_from_slice(finish_reason);
        out.extend_from_slice(self.tail);
    }

    fn object(&mut self, item: &[u8], out: &mut Vec<u8>) -> Result<(), Cow<'static, str>> {
        let Some(parts) = self.parts(item)? else {
            for part in [b"data: ", item, b"\n\n"] {
                out.extend_from_slice(part);
            }
            return Ok(());
        };
        self.tools |= parts.tools.as_ref().is_some_and(|calls| !is_empty_list(calls));
        for (kept, new) in [(&mut self.finish_reason, parts.finish_reason), (&mut self.usage, parts.usage)] {
            if let Some(new) = new {
                *kept = Some(new.to_vec());
            }
        }
        if parts.members == 0 && parts.logprobs.is_none() {
            return Ok(());
        }
        let begun = self.begun;
        if self.endpoint == Endpoint::Completions && !parts.text {
            self.text(b"\"\"", out);
        } else {
            self.open(parts.role, out);
        }
        if parts.unchanged {
            separate(out);
            out.extend_from_slice(inside(item));
        } else {
            self.members(item, parts.tools.as_deref(), begun, out);
        }
        self.close(parts.logprobs, b"null", out);
        Ok(())
    }

    /// Looks at the members of a delta, of which `null` is none; none: it tells of an error and is passed on.
    fn parts<'t>(&mut self, item: &'t [u8]) -> Result<Option<Parts<'t>>, Cow<'static, str>> {
        let mut parts = Parts {
            finish_reason: None,
            usage: None,
            logprobs: None,
            members: 0,
            role: false,
            text: false,
            tools: None,
            unchanged: true,
        };
        let (mut known, mut unknown) = (false, false);
        for member in members(item).into_iter().flatten() {
            let member = member.map_err(no_json)?;
            match member.key {
                b"error" => {}
                key if key == b"choices" || is_delta_key(key) => known = true,
                _ => unknown = true,
            }
            if is_null(member.value) {
                parts.unchanged = false;
                continue;
            }
            match member.key {
                b"choices" => return Err("a chunk among deltas".into()),
                b"error" => return Ok(None),
                b"finish_reason" => {
                    parts.finish_reason = Some(member.value).filter(|value| !is_empty_text(value));
                }
                b"usage" => parts.usage = Some(member.value),
                b"logprobs" => parts.logprobs = Some(member.value),
                b"content" | b"text" => parts.text = true,
                b"role" => parts.role = true,
                b"tool_calls" => {
                    let calls = self.calls.complete(member.value)?;
                    parts.unchanged &= matches!(calls, Cow::Borrowed(_));
                    parts.tools = Some(calls);
                }
                _ => {}
            }
            let name = self.name(member.key, self.begun);
            parts.members += usize::from(name.is_some());
            parts.unchanged &= name == Some(member.key);
        }
        if unknown && !known {
            return Err(no_known_key(item));
        }
        Ok(Some(parts))
    }

    /// The key that a member of a delta has in the message; none: it does not go there. The role is told once.
    fn name<'k>(&self, key: &'k [u8], begun: bool) -> Option<&'k [u8]> {
        match key {
            b"finish_reason" | b"usage" | b"logprobs" => None,
            b"role" => (!begun && self.endpoint == Endpoint::Chat).then_some(key),
            b"content" | b"text" => Some(self.endpoint.text_key()),
            key => Some(key),
        }
    }

    fn members(&self, item: &[u8], tools: Option<&[u8]>, begun: bool, out: &mut Vec<u8>) {
        let all = members(item).into_iter().flatten().flatten();
        for member in all.filter(|member| !is_null(member.value)) {
            if let Some(name) = self.name(member.key, begun) {
                self.key(name, out);
                out.extend_from_slice(tools.filter(|_| member.key == b"tool_calls").unwrap_or(member.value));
            }
        }
    }
}

/// Writes a comma, unless what follows is the first of its kind.
fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b',')) {
        out.push(b',');
    }
}

/// The members of an object, as they lie between its braces.
fn inside(object: &[u8]) -> &[u8] {
    let members = object.trim_ascii_end().strip_suffix(b"}").unwrap_or_default();
    members.strip_prefix(b"{").unwrap_or_default().trim_ascii()
}
