//! Limits of one message while it is read: its length, the number of its values, and the types of its keys; its depth is
//! limited by [`nesting`](super::nesting).

use crate::Limits;
use crate::error::{BoxedError, over};

/// Limits of one message, and what it has used of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    /// Kept for [`Nesting`](super::nesting::Nesting), which counts containers.
    pub(super) max_depth: usize,
    max_nodes: usize,
    nodes: usize,
    /// Integer and binary keys are taken as well.
    pub(crate) any_keys: bool,
}

impl ReadLimits {
    pub(crate) fn new(limits: &Limits, any_keys: bool) -> Self {
        Self { max_depth: limits.depth(), max_nodes: limits.max_nodes, nodes: 0, any_keys }
    }

    /// Counts `more` values.
    #[inline]
    pub(crate) fn nodes(&mut self, more: usize, offset: usize) -> Result<(), BoxedError> {
        self.nodes += more;
        if self.nodes > self.max_nodes { Err(self.too_many(offset)) } else { Ok(()) }
    }

    #[cold]
    fn too_many(&self, offset: usize) -> BoxedError {
        over("max_nodes", offset, format!("more than {} values", self.max_nodes))
    }
}

/// Refuses a message that is longer than a frame may be.
pub(crate) fn check_frame(limits: &Limits, input: &[u8]) -> Result<(), BoxedError> {
    let max = limits.max_frame_bytes;
    if input.len() > max {
        Err(over("max_frame_bytes", max, format!("a frame of more than {max} bytes")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecodeError;

    fn refused(result: Result<(), BoxedError>) -> Option<String> {
        result.err().map(|error| format!("{:?}", DecodeError::from(error)))
    }

    #[test]
    fn a_limit_itself_is_allowed_and_one_more_is_not() {
        let limits = Limits { max_nodes: 10, ..Limits::default() };
        let mut counted = ReadLimits::new(&limits, false);
        assert_eq!((refused(counted.nodes(4, 0)), refused(counted.nodes(6, 0))), (None, None));
        let error = refused(counted.nodes(1, 7)).expect("eleven");
        assert!(
            error.contains("max_nodes") && error.contains("offset: 7") && error.contains("more than 10"),
            "{error}"
        );
    }
}
