//! Copies of queued frames out of segments that they pin, so that those stay within the pool's bound.

use std::sync::Arc;

use super::loop_worker::LoopWorker;

/// Streams whose queues are looked at in one turn while segments are pinned, and bytes that are copied at most: a turn
/// makes no more than a few segments, and neither costs more than about 100 us.
const STREAMS_PER_LOOK: usize = 1024;
const COPIED_PER_LOOK: usize = 256 << 10;

impl LoopWorker {
    /// Once a turn: copies some frames out of the segments that they pin too much of, of other streams each time.
    pub(super) fn copy_out_queued(&self) {
        let Some(mut tables) = self.tables.borrow() else { return };
        let over: Vec<_> =
            tables.writers.iter().filter_map(|(_, writer)| writer.work(|writer| writer.over_pinned())?).collect();
        if over.is_empty() {
            return;
        }
        let mut streams: Vec<_> = tables.live.iter().map(|(_, live)| Arc::clone(&live.stream)).collect();
        let start = tables.looked_at % streams.len().max(1);
        streams.rotate_left(start);
        streams.truncate(STREAMS_PER_LOOK);
        tables.looked_at = tables.looked_at.wrapping_add(streams.len());
        drop(tables);
        let mut left = COPIED_PER_LOOK;
        for stream in streams {
            if let Some(pool) = over.iter().find(|pool| pool.id() == stream.engine.pool.id()) {
                left = left.saturating_sub(stream.queue.copy_out(pool, left));
            }
        }
    }
}
