//! The rules for when items leave: full batches, slow items, and each wait of the handler where that is asked for. When a
//! worker has only just crossed, the outbox has them wait for the turn.

use std::time::Duration;

use crate::state::{Flow, Flush};

/// An item that took the handler longer than this leaves at once.
const SLOW_ITEM: Duration = Duration::from_micros(100);

/// True when a batch of so many items and bytes is full: it leaves now, or with the turn if the worker has only just crossed.
#[inline]
pub(super) fn is_full(flow: &Flow, items: usize, bytes: usize) -> bool {
    items >= flow.batch_items || bytes >= flow.batch_bytes
}

/// True where items leave each time the handler waits, and not once a turn.
pub(super) fn leaves_at_each_wait(flow: &Flow) -> bool {
    flow.flush == Flush::Suspend
}

/// True when an item took its handler so long that it leaves at once.
#[inline]
pub(super) fn is_slow(item: Duration) -> bool {
    item > SLOW_ITEM
}
