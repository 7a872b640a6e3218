//! The limit on pooled memory that a frame which Python keeps holds; above it the frame is copied.

/// A Python object may live for ever, so it holds at most this many times its size, and so many bytes on top.
const FACTOR: usize = 4;
const ALLOWANCE: usize = 4 << 10;

/// True if a frame of `len` bytes may keep `pins` bytes from going back to the pool; else it is to be copied.
pub(crate) fn may_keep(len: usize, pins: usize) -> bool {
    pins <= len.saturating_mul(FACTOR).saturating_add(ALLOWANCE)
}
