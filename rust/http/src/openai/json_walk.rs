//! JSON text that is walked as it lies: the members of an object, the elements of an array, where a value ends.
//!
//! The walk never panics and needs no memory, however deep the text nests. It checks only what it needs to find its way: the
//! inside of a value that is passed over is not looked at.

use std::fmt;

use memchr::memchr2;

/// Bytes of a string that are looked at one by one: for short strings that is faster than many at a time.
const SHORT: usize = 16;

/// The text is no JSON where it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member<'t> {
    /// Between its quotes, escaped as it lies.
    pub(super) key: &'t [u8],
    /// Offset of the key's opening quote in the object's text.
    pub(super) key_at: usize,
    pub(super) value: &'t [u8],
    /// Offset of the value in the object's text.
    pub(super) at: usize,
}

/// An element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'t> {
    pub(super) value: &'t [u8],
    /// Offset of the value in the array's text.
    pub(super) at: usize,
}

/// What a value is; shown with its article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Boolean,
    Null,
    Number,
    Other,
    Nothing,
}

/// The place in a container that is walked.
#[derive(Debug)]
struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    close: u8,
    first: bool,
    over: bool,
}

/// The members of an object, in their order.
#[derive(Debug)]
pub(super) struct Members<'t>(Walk<'t>);

/// The elements of an array, in their order.
#[derive(Debug)]
pub(super) struct Elements<'t>(Walk<'t>);

/// The members of the object that `text` begins with; none if it begins with something else.
pub(super) fn members(text: &[u8]) -> Option<Members<'_>> {
    Walk::into(text, b'{', b'}').map(Members)
}

/// The elements of the array that `text` begins with; none if it begins with something else.
pub(super) fn elements(text: &[u8]) -> Option<Elements<'_>> {
    Walk::into(text, b'[', b']').map(Elements)
}

/// What lies between the quotes of a value that is a string.
#[inline]
pub(super) fn string(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

pub(super) fn is_empty_list(value: &[u8]) -> bool {
    value.strip_prefix(b"[").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"]"))
}

pub(super) fn is_empty_text(value: &[u8]) -> bool {
    value == b"\"\""
}

pub(super) fn is_null(value: &[u8]) -> bool {
    value == b"null"
}

/// What a value is, by its first byte.
pub(super) fn kind(value: &[u8]) -> Kind {
    match value.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        Some(_) => Kind::Other,
        None => Kind::Nothing,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Boolean => "a boolean",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Other => "text that is no JSON",
            Self::Nothing => "nothing",
        })
    }
}

impl<'t> Walk<'t> {
    fn into(text: &'t [u8], open: u8, close: u8) -> Option<Self> {
        let at = after_space(text, 0);
        (text.get(at) == Some(&open)).then_some(Self { text, at: at + 1, close, first: true, over: false })
    }

    /// Goes to the next key or element; false at the end.
    #[inline]
    fn go_on(&mut self) -> Result<bool, Malformed> {
        self.at = after_space(self.text, self.at);
        match self.text.get(self.at) {
            Some(byte) if *byte == self.close => return Ok(false),
            Some(b',') if !self.first => self.at = after_space(self.text, self.at + 1),
            Some(_) if self.first => {}
            _ => return Err(Malformed),
        }
        self.first = false;
        Ok(true)
    }

    #[inline]
    fn value(&mut self) -> Result<(&'t [u8], usize), Malformed> {
        let at = self.at;
        self.at = value_end(self.text, at).ok_or(Malformed)?;
        Ok((&self.text[at..self.at], at))
    }

    #[inline]
    fn member(&mut self) -> Result<Option<Member<'t>>, Malformed> {
        if !self.go_on()? {
            return Ok(None);
        }
        let key_at = self.at;
        if self.text.get(key_at) != Some(&b'"') {
            return Err(Malformed);
        }
        let end = string_end(self.text, key_at + 1).ok_or(Malformed)?;
        let key = &self.text[key_at + 1..end - 1];
        let colon = after_space(self.text, end);
        if self.text.get(colon) != Some(&b':') {
            return Err(Malformed);
        }
        self.at = after_space(self.text, colon + 1);
        let (value, at) = self.value()?;
        Ok(Some(Member { key, key_at, value, at }))
    }

    #[inline]
    fn element(&mut self) -> Result<Option<Element<'t>>, Malformed> {
        if !self.go_on()? {
            return Ok(None);
        }
        let (value, at) = self.value()?;
        Ok(Some(Element { value, at }))
    }
}

impl<'t> Members<'t> {
    /// What follows the object, once its last member has been passed.
    pub(super) fn rest(&self) -> &'t [u8] {
        self.0.text.get(self.0.at + 1..).unwrap_or_default()
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = Result<Member<'t>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.over {
            return None;
        }
        let next = self.0.member();
        self.0.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl<'t> Iterator for Elements<'t> {
    type Item = Result<Element<'t>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.over {
            return None;
        }
        let next = self.0.element();
        self.0.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// The offset of the first byte from `at` on that is no white space.
#[inline]
fn after_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// The offset behind the string whose opening quote lies before `at`.
#[inline]
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    loop {
        let rest = text.get(at..)?;
        at += match rest.iter().take(SHORT).position(is_special) {
            Some(len) => len,
            None => SHORT + memchr2(b'"', b'\\', rest.get(SHORT..)?)?,
        };
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The offset behind the value at `at`.
#[inline]
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at + 1),
        b'{' | b'[' => container_end(text, at),
        _ => {
            let rest = &text[at..];
            let len = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'));
            let len = len.unwrap_or(rest.len());
            (len > 0).then_some(at + len)
        }
    }
}

fn container_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at + 1)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(&str, &str)>, Malformed> {
        let utf8 = |bytes| std::str::from_utf8(bytes).expect("it was text");
        members(text.as_bytes())
            .expect("an object")
            .map(|member| member.map(|member| (utf8(member.key), utf8(member.value))))
            .collect()
    }

    #[test]
    fn members_come_in_their_order_as_they_lie() {
        let text = r#" { "a" : 1 ,"b\"":"x\\","c":[{"d":"]}"},[]],"a":-1.5e3 , "" : null}  "#;
        let expected = [("a", "1"), ("b\\\"", "\"x\\\\\""), ("c", r#"[{"d":"]}"},[]]"#), ("a", "-1.5e3"), ("", "null")];
        assert_eq!(pairs(text), Ok(expected.to_vec()));
        assert_eq!(pairs("{}"), Ok(vec![]));
        assert!(members(b"[1]").is_none() && members(b"").is_none() && elements(b"{}").is_none());
    }

    #[test]
    fn offsets_are_those_in_the_text_of_the_container() {
        let text = br#" {"a": [10, "x"]}"#;
        let member = members(text).expect("an object").next().expect("a member").expect("well formed");
        assert_eq!((member.key_at, &text[member.at..member.at + member.value.len()]), (2, member.value));
        let all: Vec<_> = elements(member.value).expect("an array").map(|element| element.expect("one").at).collect();
        assert_eq!(all, [1, 5]);
    }

    #[test]
    fn what_is_no_json_is_an_error_and_then_the_end() {
        for text in
            ["{", "{1:2}", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":\"", "{\"a\":[1}", "{,}", "{\"a\":1 \"b\":2}"]
        {
            let mut all = members(text.as_bytes()).expect("it opens");
            assert_eq!(all.find(Result::is_err), Some(Err(Malformed)), "{text}");
            assert!(all.next().is_none(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_takes_no_stack() {
        let deep = [vec![b'['; 4 << 20], vec![b']'; 4 << 20]].concat();
        let text = [b"{\"a\":".as_slice(), &deep, b",\"b\":1}"].concat();
        let last = members(&text).expect("an object").last().expect("a member").expect("well formed");
        assert_eq!(last.value, b"1");
    }
}
