//! Validation of a message: the rules of its format and of the limits, checked without making anything.

use std::collections::HashSet;
use std::fmt;

use super::read_limits::{ReadLimits, check_frame};
use super::reader::Reader;
use super::visitor::{NumberVisitor, Visitor};
use crate::error::{BoxedError, DecodeError, cut, invalid};
use crate::limits::DuplicateKeys;
use crate::{Format, Limits};

/// Checks that `input` is one message of `format` within `limits`, by the rules that `decode` follows.
///
/// Needs no interpreter. `max_decoded_bytes` and `max_expansion` concern Python objects and are not looked at.
///
/// # Errors
/// As `decode`.
pub fn scan(format: Format, limits: &Limits, input: &[u8]) -> Result<(), DecodeError> {
    // Keys are text here: typed values have no others.
    check(format, ReadLimits::new(limits, false), limits, input).map_err(DecodeError::from)
}

/// The error of a message that was found to have a key twice in one map, which ends at `end`.
#[cold]
pub(crate) fn duplicate_key(format: Format, limits: &Limits, input: &[u8], end: usize) -> BoxedError {
    let found = check(format, ReadLimits::new(limits, true), limits, input).err();
    found.unwrap_or_else(|| invalid(end, "a key that comes twice in the map before"))
}

fn check(format: Format, read_limits: ReadLimits, limits: &Limits, input: &[u8]) -> Result<(), BoxedError> {
    check_frame(limits, input)?;
    let strict = limits.duplicate_keys == DuplicateKeys::Error;
    let mut scan = Scan { keys: Vec::new(), other_key: None, strict };
    Reader::new(format, read_limits).run(input, usize::MAX, &mut scan).map(drop)
}

/// A key as keys are compared.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Int(i128),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", cut(&String::from_utf8_lossy(text))),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", cut(&bytes.escape_ascii().to_string())),
            Self::Int(int) => int.fmt(f),
        }
    }
}

/// Looks at text and, where asked to, at keys.
#[derive(Debug)]
struct Scan {
    /// Those of open maps, each with its offset.
    keys: Vec<(usize, Key)>,
    /// Offset of a key that is no text and comes next.
    other_key: Option<usize>,
    strict: bool,
}

impl Scan {
    fn note(&mut self, key: impl FnOnce() -> Key) {
        if let Some(offset) = self.other_key.take() {
            self.keys.push((offset, key()));
        }
    }
}

fn utf8(text: &[u8], offset: usize) -> Result<(), BoxedError> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(offset + error.valid_up_to(), "text that is not UTF-8")),
    }
}

impl NumberVisitor for Scan {
    fn signed(&mut self, value: i64) -> Result<(), BoxedError> {
        self.note(|| Key::Int(value.into()));
        Ok(())
    }
    fn unsigned(&mut self, value: u64) -> Result<(), BoxedError> {
        self.note(|| Key::Int(value.into()));
        Ok(())
    }
    fn float(&mut self, _: f64) -> Result<(), BoxedError> {
        Ok(())
    }
}

impl Visitor for Scan {
    fn expect(&mut self, _: usize) -> Result<(), BoxedError> {
        Ok(())
    }
    fn part(&mut self, _: bool) -> Result<(), BoxedError> {
        Ok(())
    }
    fn null(&mut self) -> Result<(), BoxedError> {
        Ok(())
    }
    fn bool(&mut self, _: bool) -> Result<(), BoxedError> {
        Ok(())
    }
    fn text(&mut self, text: &[u8], ascii: bool, offset: usize) -> Result<(), BoxedError> {
        if ascii { Ok(()) } else { utf8(text, offset) }
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BoxedError> {
        self.note(|| Key::Bytes(bytes.to_vec()));
        Ok(())
    }
    fn key(&mut self, text: &[u8], offset: usize) -> Result<(), BoxedError> {
        if self.strict {
            self.keys.push((offset, Key::Text(text.to_vec())));
        }
        utf8(text, offset)
    }
    fn other_key(&mut self, offset: usize) {
        self.other_key = self.strict.then_some(offset);
    }
    fn array(&mut self, _: usize) -> Result<(), BoxedError> {
        Ok(())
    }
    fn map(&mut self, len: usize, _: usize) -> Result<(), BoxedError> {
        if self.strict {
            let keys = self.keys.split_off(self.keys.len() - len);
            let mut seen = HashSet::with_capacity(len);
            for (offset, key) in keys {
                if seen.contains(&key) {
                    return Err(invalid(offset, format!("key {key} comes twice in one map")));
                }
                seen.insert(key);
            }
        }
        Ok(())
    }
}
