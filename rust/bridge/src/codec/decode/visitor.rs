//! Events of a reader, the traits that receive them, and the budget of one message.

use crate::codec::Limits;
use crate::codec::error::DecodeError;

/// Boxed, so that the good case is returned in a register.
#[derive(Debug)]
pub(in crate::codec) struct Fault(Box<DecodeError>);

impl From<DecodeError> for Fault {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Self(Box::new(error))
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        *fault.0
    }
}

/// Pairs after which a map that goes on is given over, so that a large one is not made all at its end.
pub(in crate::codec) const PART: usize = 512;

/// Pairs of a map of `len` that were given over in parts.
#[inline]
pub(in crate::codec) fn in_parts(len: usize) -> usize {
    len.saturating_sub(1) / PART * PART
}

/// What a container costs beside its bytes, as input bytes: an empty one is a single byte, and an object to make.
pub(in crate::codec) const CONTAINER_WORK: usize = 8;

/// A receiver of numbers, each as the smallest of the three that holds it.
pub(in crate::codec) trait Numbers {
    fn signed(&mut self, value: i64) -> Result<(), Fault>;
    fn unsigned(&mut self, value: u64) -> Result<(), Fault>;
    fn float(&mut self, value: f64) -> Result<(), Fault>;
}

/// A receiver of one message, bottom up: values first, then the container that holds them.
pub(in crate::codec) trait Receiver: Numbers {
    /// `count` values come next; said before the first of them.
    fn expect(&mut self, count: usize) -> Result<(), Fault>;
    fn null(&mut self) -> Result<(), Fault>;
    fn bool(&mut self, value: bool) -> Result<(), Fault>;
    /// Text that lies at `offset`; whether it is UTF-8 is for the receiver to find out, once, if it is not ASCII.
    fn text(&mut self, text: &[u8], ascii: bool, offset: usize) -> Result<(), Fault>;
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    /// A key that is text.
    fn key(&mut self, text: &[u8], offset: usize) -> Result<(), Fault>;
    /// The value that comes next is a key, at `offset`, and no text.
    fn other_key(&mut self, _offset: usize) {}
    /// The last `PART` pairs of key and value belong to a map that goes on, the `first` of them or more.
    fn part(&mut self, first: bool) -> Result<(), Fault>;
    /// The last `len` values are an array.
    fn array(&mut self, len: usize) -> Result<(), Fault>;
    /// The last `len` pairs of key and value, those of parts included, are a map that ends at `offset`.
    fn map(&mut self, len: usize, offset: usize) -> Result<(), Fault>;
}

/// Limits of one message, and what it has used of them.
#[derive(Debug, Clone, Copy)]
pub(in crate::codec) struct Budget {
    max_depth: usize,
    max_nodes: usize,
    nodes: usize,
    /// Integer and binary keys are taken as well.
    pub(in crate::codec) any_keys: bool,
}

impl Budget {
    pub(in crate::codec) fn new(limits: &Limits, any_keys: bool) -> Self {
        Self { max_depth: limits.depth(), max_nodes: limits.max_nodes, nodes: 0, any_keys }
    }

    /// Counts `more` values.
    #[inline]
    pub(in crate::codec) fn nodes(&mut self, more: usize, offset: usize) -> Result<(), Fault> {
        self.nodes += more;
        if self.nodes > self.max_nodes { Err(self.too_many(offset)) } else { Ok(()) }
    }

    /// Checks a container that would be the `depth`-th inside one another.
    #[inline]
    pub(in crate::codec) fn depth(&self, depth: usize, offset: usize) -> Result<(), Fault> {
        if depth > self.max_depth { Err(self.too_deep(offset)) } else { Ok(()) }
    }

    #[cold]
    fn too_many(&self, offset: usize) -> Fault {
        over("max_nodes", offset, format!("more than {} values", self.max_nodes))
    }

    #[cold]
    fn too_deep(&self, offset: usize) -> Fault {
        over("max_depth", offset, format!("more than {} containers inside one another", self.max_depth))
    }
}

pub(in crate::codec) fn check_frame(limits: &Limits, input: &[u8]) -> Result<(), Fault> {
    let max = limits.max_frame_bytes;
    if input.len() > max {
        Err(over("max_frame_bytes", max, format!("a frame of more than {max} bytes")))
    } else {
        Ok(())
    }
}

#[cold]
pub(in crate::codec) fn over(limit: &'static str, offset: usize, reason: String) -> Fault {
    DecodeError::Limit { limit, offset, reason }.into()
}

#[cold]
pub(in crate::codec) fn invalid(offset: usize, reason: impl Into<String>) -> Fault {
    DecodeError::Invalid { offset, reason: reason.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(result: Result<(), Fault>) -> Option<String> {
        result.err().map(|fault| format!("{:?}", DecodeError::from(fault)))
    }

    #[test]
    fn a_limit_itself_is_allowed_and_one_more_is_not() {
        let limits = Limits { max_nodes: 10, max_depth: 3, ..Limits::default() };
        let mut budget = Budget::new(&limits, false);
        assert_eq!((refused(budget.nodes(4, 0)), refused(budget.nodes(6, 0))), (None, None));
        let error = refused(budget.nodes(1, 7)).expect("eleven");
        assert!(
            error.contains("max_nodes") && error.contains("offset: 7") && error.contains("more than 10"),
            "{error}"
        );
        assert_eq!((refused(budget.depth(0, 0)), refused(budget.depth(3, 0))), (None, None));
        let error = refused(budget.depth(4, 9)).expect("the fourth");
        assert!(error.contains("max_depth") && error.contains("offset: 9") && error.contains("more than 3"), "{error}");
    }

    #[test]
    fn a_map_goes_over_in_parts_while_it_goes_on() {
        let lens = [0, 1, PART, PART + 1, 2 * PART, 2 * PART + 1];
        assert_eq!(lens.map(in_parts), [0, 0, 0, PART, PART, 2 * PART]);
    }
}
