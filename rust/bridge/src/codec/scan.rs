//! The rules of a format and of the limits, checked without making anything.

use std::collections::HashSet;

use super::events::{Budget, Fault, Receiver, invalid};
use super::limits::DuplicateKeys;
use super::{Format, Limits, json, msgpack};
use crate::error::DecodeError;

/// Checks that `input` is one message of `format` within `limits`, by the rules that `decode` follows.
///
/// Needs no interpreter. `max_decoded_bytes` concerns Python objects and is not looked at.
///
/// # Errors
/// As `decode`.
pub fn scan(format: Format, limits: &Limits, input: &[u8]) -> Result<(), DecodeError> {
    check(format, limits, input).map_err(DecodeError::from)
}

fn check(format: Format, limits: &Limits, input: &[u8]) -> Result<(), Fault> {
    super::decode::check_frame(limits, input)?;
    let mut scan = Scan { keys: Vec::new(), strict: limits.duplicate_keys == DuplicateKeys::Error };
    // Keys are text here: typed values have no others.
    let budget = Budget::new(limits, false);
    match format {
        Format::Msgpack => msgpack::Reader::new(budget).run(input, usize::MAX, &mut scan).map(drop),
        Format::Json => json::Reader::new(budget).run(input, usize::MAX, &mut scan).map(drop),
        Format::Raw => Ok(()),
    }
}

/// Looks at text and, where asked to, at keys.
#[derive(Debug)]
struct Scan {
    keys: Vec<Vec<u8>>,
    strict: bool,
}

fn utf8(text: &[u8], offset: usize) -> Result<(), Fault> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(offset + error.valid_up_to(), "text that is not UTF-8")),
    }
}

impl Receiver for Scan {
    fn expect(&mut self, _: usize) -> Result<(), Fault> {
        Ok(())
    }
    fn part(&mut self, _: bool) -> Result<(), Fault> {
        Ok(())
    }
    fn null(&mut self) -> Result<(), Fault> {
        Ok(())
    }
    fn bool(&mut self, _: bool) -> Result<(), Fault> {
        Ok(())
    }
    fn signed(&mut self, _: i64) -> Result<(), Fault> {
        Ok(())
    }
    fn unsigned(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
    fn float(&mut self, _: f64) -> Result<(), Fault> {
        Ok(())
    }
    fn text(&mut self, text: &[u8], ascii: bool, offset: usize) -> Result<(), Fault> {
        if ascii { Ok(()) } else { utf8(text, offset) }
    }
    fn bytes(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    fn key(&mut self, text: &[u8], offset: usize) -> Result<(), Fault> {
        if self.strict {
            self.keys.push(text.to_vec());
        }
        utf8(text, offset)
    }
    fn array(&mut self, _: usize) -> Result<(), Fault> {
        Ok(())
    }
    fn map(&mut self, len: usize, offset: usize) -> Result<(), Fault> {
        if self.strict {
            let keys = self.keys.split_off(self.keys.len() - len);
            let mut seen = HashSet::with_capacity(len);
            if !keys.into_iter().all(|key| seen.insert(key)) {
                return Err(super::build::duplicate(offset));
            }
        }
        Ok(())
    }
}
