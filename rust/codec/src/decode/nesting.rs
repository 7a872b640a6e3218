//! The stack of containers that are open while a message is read, the limit of its depth, and the place of the next byte.

use smallvec::SmallVec;

use super::read_limits::ReadLimits;
use crate::error::{BoxedError, over};

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

    /// Counts a container that begins at `offset`; refuses one more inside one another than `max_depth`.
    #[inline]
    pub(crate) fn enter(&mut self, offset: usize) -> Result<(), BoxedError> {
        if self.outer.len() >= self.limits.max_depth {
            return Err(self.too_deep(offset));
        }
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

    #[cold]
    fn too_deep(&self, offset: usize) -> BoxedError {
        over("max_depth", offset, format!("more than {} containers inside one another", self.limits.max_depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeError, Limits};

    fn nesting(max_depth: usize) -> Nesting<u8> {
        Nesting::new(ReadLimits::new(&Limits { max_depth, ..Limits::default() }, false), 0)
    }

    #[test]
    fn as_many_containers_as_the_limit_lie_inside_one_another_and_one_more_does_not() {
        let mut nesting = nesting(3);
        for open in 1..=3 {
            assert!(nesting.enter(0).is_ok(), "{open}");
            nesting.push(open);
        }
        let error =
            nesting.enter(9).map_err(|error| format!("{:?}", DecodeError::from(error))).expect_err("the fourth");
        assert!(error.contains("max_depth") && error.contains("offset: 9") && error.contains("more than 3"), "{error}");
        assert!(nesting.pop());
        assert!(nesting.enter(10).is_ok(), "beside the third");
    }

    #[test]
    fn the_outermost_ends_last_and_each_container_is_work() {
        let mut nesting = nesting(3);
        assert_eq!((nesting.work(5), nesting.pop()), (5, false));
        for open in [1, 2] {
            assert!(nesting.enter(0).is_ok());
            nesting.push(open);
        }
        assert_eq!((nesting.work(5), nesting.inner), (5 + 2 * CONTAINER_WORK, 2));
        assert_eq!((nesting.pop(), nesting.inner), (true, 1));
        assert_eq!((nesting.pop(), nesting.inner, nesting.pop()), (true, 0, false));
    }
}
