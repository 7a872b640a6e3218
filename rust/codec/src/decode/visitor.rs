//! The visitor traits, which readers call for each value of a message: inner values first, then what holds them.

use crate::error::BoxedError;

/// Pairs after which a map that goes on is given over, so that a large one is not made all at its end.
pub(crate) const PART: usize = 512;

/// Pairs of a map of `len` that were given over in parts.
#[inline]
pub(crate) fn in_parts(len: usize) -> usize {
    len.saturating_sub(1) / PART * PART
}

/// A visitor of numbers, each as the smallest of the three that holds it.
pub(crate) trait NumberVisitor {
    fn signed(&mut self, value: i64) -> Result<(), BoxedError>;
    fn unsigned(&mut self, value: u64) -> Result<(), BoxedError>;
    fn float(&mut self, value: f64) -> Result<(), BoxedError>;
}

/// A visitor of one message, bottom up: values first, then the container that holds them.
pub(crate) trait Visitor: NumberVisitor {
    /// `count` values come next; said before the first of them.
    fn expect(&mut self, count: usize) -> Result<(), BoxedError>;
    fn null(&mut self) -> Result<(), BoxedError>;
    fn bool(&mut self, value: bool) -> Result<(), BoxedError>;
    /// Text that lies at `offset`; whether it is UTF-8 is for the visitor to find out, once, if it is not ASCII.
    fn text(&mut self, text: &[u8], ascii: bool, offset: usize) -> Result<(), BoxedError>;
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BoxedError>;
    /// A key that is text.
    fn key(&mut self, text: &[u8], offset: usize) -> Result<(), BoxedError>;
    /// The value that comes next is a key, at `offset`, and no text.
    fn other_key(&mut self, _offset: usize) {}
    /// The last `PART` pairs of key and value belong to a map that goes on, the `first` of them or more.
    fn part(&mut self, first: bool) -> Result<(), BoxedError>;
    /// The last `len` values are an array.
    fn array(&mut self, len: usize) -> Result<(), BoxedError>;
    /// The last `len` pairs of key and value, those of parts included, are a map that ends at `offset`.
    fn map(&mut self, len: usize, offset: usize) -> Result<(), BoxedError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_goes_over_in_parts_while_it_goes_on() {
        let lens = [0, 1, PART, PART + 1, 2 * PART, 2 * PART + 1];
        assert_eq!(lens.map(in_parts), [0, 0, 0, PART, PART, 2 * PART]);
    }
}
