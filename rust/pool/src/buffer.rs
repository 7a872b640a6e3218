//! A leased buffer of the large tier.
//!
//! ```text
//! free ──acquire──► leased ──freeze──► frozen (Bytes and its slices)
//!   ▲                 │                   │
//!   └──── drop ───────┴──── last drop ────┘      parked if it fits the limits, else unmapped
//! ```

use std::ops::Deref;
use std::ptr::NonNull;

use bytes::Bytes;

use crate::budget::{Charge, Direction};
use crate::leak::Sample;
use crate::mapping::Mapping;
use crate::pool::PoolError;
use crate::pool_state::PoolState;
use crate::sync::Arc;

/// A writable buffer on lease; it returns itself on drop.
#[derive(Debug)]
pub struct PooledBuf {
    state: Arc<PoolState>,
    mapping: Option<Mapping>,
    len: usize,
    class: Option<usize>,
    charge: Option<Charge>,
    sample: Option<Sample>,
}

impl PooledBuf {
    pub(crate) fn new(
        state: Arc<PoolState>,
        mapping: Mapping,
        class: Option<usize>,
        charge: Option<Charge>,
        sample: Option<Sample>,
    ) -> Self {
        Self { state, mapping: Some(mapping), len: 0, class, charge, sample }
    }

    /// Bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.mapping.as_ref().map_or(0, Mapping::len)
    }

    /// False for a fallback allocation that the pool neither counts nor takes back.
    pub fn is_tracked(&self) -> bool {
        self.charge.is_some()
    }

    /// The bytes after the written ones. What they hold is unspecified; only [`advance`](Self::advance) past
    /// what was written.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        self.mapping.as_mut().map_or(&mut [], |mapping| &mut mapping.bytes_mut()[len..])
    }

    /// Counts `len` bytes of the spare as written.
    ///
    /// # Panics
    /// `len` is more than the spare.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.capacity() - self.len, "advance past the capacity");
        self.len += len;
    }

    /// Appends as much of `bytes` as there is room for; returns how much that was.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare_mut();
        let len = bytes.len().min(spare.len());
        spare[..len].copy_from_slice(&bytes[..len]);
        self.len += len;
        len
    }

    /// Makes the written bytes immutable and shared, without a copy; the buffer goes back to the pool
    /// with the last slice.
    pub fn freeze(self) -> Bytes {
        if self.len == 0 { Bytes::new() } else { Bytes::from_owner(self) }
    }

    /// Address of the first byte, with the right to all of the memory.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.as_ref().map_or_else(NonNull::dangling, Mapping::start)
    }

    /// A larger buffer of the same direction with the same content; `self` stays as it was if there is none.
    pub(crate) fn grow(&mut self, direction: Direction, capacity: usize) -> Result<(), PoolError> {
        let mut larger = PoolState::try_acquire(&self.state, capacity, direction)?;
        larger.put(self);
        *self = larger;
        Ok(())
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&[], |mapping| mapping.bytes(self.len))
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        drop(self.sample.take());
        if let Some(mapping) = self.mapping.take()
            && self.charge.is_some()
        {
            self.state.take_back(mapping, self.class);
        }
        drop(self.charge.take());
    }
}
