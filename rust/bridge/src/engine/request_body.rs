//! The body of a request, written into the engine's pool as it arrives.

use bytes::Bytes;
use pybridge_pool::{InboundBody, Pool, PoolError};

use super::call_refusals::{failed, forked, too_large};
use crate::consumer::StreamError;
use crate::error::FailureKind;

/// A request's bytes on their way from a socket, in memory of the engine's pool.
///
/// Memory follows what has arrived, never what was only announced.
#[derive(Debug)]
pub struct RequestBody(InboundBody);

impl RequestBody {
    pub(super) fn new(pool: &Pool, declared: Option<usize>, most: usize) -> Result<Self, StreamError> {
        pool.inbound_body(declared, most).map(Self).map_err(refused)
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`]: the body passes its maximum, or what the pool has for requests;
    /// [`FailureKind::PoolExhausted`]: requests hold all that they may. The body then is as it was.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        self.0.push(piece).map_err(refused)
    }

    /// Bytes that have arrived.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before the first byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole body, without a copy.
    pub fn finish(self) -> Bytes {
        self.0.finish()
    }
}

fn refused(error: PoolError) -> StreamError {
    match error {
        PoolError::Oversized { .. } | PoolError::TooLong { .. } => too_large(error.to_string(), "max_live_bytes"),
        PoolError::Forked => forked(),
        PoolError::Exhausted => failed(FailureKind::PoolExhausted, "PoolExhausted", error.to_string()),
    }
}
