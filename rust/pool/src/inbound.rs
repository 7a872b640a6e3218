//! Incoming bodies: charged to the inbound half of the budget, grown with the data that really arrives.

use bytes::Bytes;

use crate::budget::{Charge, Direction};
use crate::buffer::PooledBuf;
use crate::pool::PoolError;
use crate::pool_state::PoolState;
use crate::size_classes::{FIRST_GUESS, GROWTH, grown};
use crate::sync::Arc;

/// Bodies up to here live on the heap, exactly sized; above it in the large tier.
const HEAP_MAX: usize = 32 << 10;

/// First heap capacity of a body of unknown length.
const HEAP_FIRST: usize = 4 << 10;

#[derive(Debug)]
enum Storage {
    Heap(ChargedVec),
    Large(PooledBuf),
}

#[derive(Debug)]
struct ChargedVec {
    bytes: Vec<u8>,
    _charge: Option<Charge>,
}

impl AsRef<[u8]> for ChargedVec {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that arrives in pieces. Capacity follows what has arrived, never what was only announced.
#[derive(Debug)]
pub struct InboundBody {
    state: Arc<PoolState>,
    storage: Storage,
    declared: Option<usize>,
    max: usize,
}

impl InboundBody {
    pub(crate) fn new(state: Arc<PoolState>, declared: Option<usize>, max: usize) -> Result<Self, PoolError> {
        if let Some(declared) = declared.filter(|&declared| declared > max) {
            return Err(PoolError::TooLong { len: declared, max });
        }
        let storage = Storage::Heap(ChargedVec { bytes: Vec::new(), _charge: None });
        Ok(Self { state, storage, declared, max })
    }

    /// Bytes that have arrived.
    pub fn len(&self) -> usize {
        match &self.storage {
            Storage::Heap(heap) => heap.bytes.len(),
            Storage::Large(buffer) => buffer.len(),
        }
    }

    /// True before the first byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`PoolError::TooLong`]: the body passes its maximum. [`PoolError::Oversized`]: it passes the inbound half of
    /// the budget. [`PoolError::Exhausted`]: that half is used up. The body then is as it was.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), PoolError> {
        let len = self.len().saturating_add(piece.len());
        if len > self.max {
            return Err(PoolError::TooLong { len, max: self.max });
        }
        self.make_room(len)?;
        match &mut self.storage {
            Storage::Heap(heap) => heap.bytes.extend_from_slice(piece),
            Storage::Large(buffer) => {
                let put = buffer.put(piece);
                debug_assert_eq!(put, piece.len());
            }
        }
        Ok(())
    }

    /// The whole body, without a copy.
    pub fn finish(self) -> Bytes {
        match self.storage {
            Storage::Large(buffer) => buffer.freeze(),
            Storage::Heap(heap) if heap.bytes.is_empty() => Bytes::new(),
            Storage::Heap(heap) => Bytes::from_owner(heap),
        }
    }

    fn make_room(&mut self, len: usize) -> Result<(), PoolError> {
        match &mut self.storage {
            Storage::Heap(heap) if len <= heap.bytes.capacity() => Ok(()),
            Storage::Heap(heap) if len <= HEAP_MAX => {
                let guess = self.declared.map_or(HEAP_FIRST.max(GROWTH * heap.bytes.len()), |declared| declared);
                let capacity = guess.clamp(len, HEAP_MAX.max(len)).min(self.max.max(len));
                let mut larger = ChargedVec {
                    bytes: Vec::with_capacity(capacity),
                    _charge: Some(self.state.charge(Direction::Inbound, capacity)?),
                };
                larger.bytes.extend_from_slice(&heap.bytes);
                *heap = larger;
                Ok(())
            }
            Storage::Heap(heap) => {
                let capacity = self.declared.map_or(FIRST_GUESS, |declared| declared.min(FIRST_GUESS)).max(len);
                let mut buffer = PoolState::try_acquire(&self.state, capacity, Direction::Inbound)?;
                buffer.put(&heap.bytes);
                self.storage = Storage::Large(buffer);
                Ok(())
            }
            Storage::Large(buffer) if len <= buffer.capacity() => Ok(()),
            Storage::Large(buffer) => {
                let most = self.declared.filter(|&declared| declared >= len).unwrap_or(self.max);
                let guess = grown(buffer.capacity()).min(most).max(len);
                buffer.grow(Direction::Inbound, guess).or_else(|_| buffer.grow(Direction::Inbound, len))
            }
        }
    }
}
