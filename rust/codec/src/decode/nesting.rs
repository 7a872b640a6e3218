//! The stack of containers that are open while a message is read, and the place of the next byte.

use smallvec::SmallVec;

use super::read_limits::ReadLimits;
use crate::error::BoxedError;

/// Depth of a message that needs no allocation.
const SHALLOW: usize = 8;

/// What a container costs beside its bytes, as input bytes: an empty one is a single byte, and an object to make.
const CONTAINER_WORK: usize = 8;

/// The open containers of a reader whose format says `O` of each.
#[derive(Debug)]
pub(crate) struct Nesting<O> {
    pub(crate) limits: ReadLimits,
    /// Offset of the next byte, between two stretches.
    pub(crate) at: usize,
    /// The innermost container; outside all, what stands for the message.
    pub(crate) inner: O,
    outer: SmallVec<[O; SHALLOW]>,
    /// Work of all containers that were opened.
    opened: usize,
}

impl<O> Nesting<O> {
    pub(crate) fn new(limits: ReadLimits, outside: O) -> Self {
        Self { limits, at: 0, inner: outside, outer: SmallVec::new(), opened: 0 }
    }

    /// Work done up to the byte at `at`, in input bytes.
    #[inline]
    pub(crate) fn work(&self, at: usize) -> usize {
        at + self.opened
    }

    /// Counts a container that begins at `offset`.
    #[inline]
    pub(crate) fn enter(&mut self, offset: usize) -> Result<(), BoxedError> {
        self.limits.depth(self.outer.len() + 1, offset)?;
        self.opened += CONTAINER_WORK;
        Ok(())
    }

    /// Makes `open` the innermost container.
    #[inline]
    pub(crate) fn push(&mut self, open: O) {
        self.outer.push(std::mem::replace(&mut self.inner, open));
    }

    /// Ends the innermost container; false if it was what stands for the message.
    #[inline]
    pub(crate) fn pop(&mut self) -> bool {
        let Some(outer) = self.outer.pop() else { return false };
        self.inner = outer;
        true
    }
}
