//! The writer that a worker's drivers share for one pool.

use std::mem;
use std::sync::Arc;

use pybridge_pool::{Pool, Writer};
use pyo3::prelude::*;

use super::busy_worker_alarm;
use crate::codec::{EncodeError, Encoder};
use crate::state::{FRAME_OVERHEAD, Outbox, StreamState};

/// The writer that all drivers of a worker share for one pool.
#[derive(Debug)]
pub(crate) struct SharedWriter {
    writer: Writer,
    /// The stream whose committed frames are not yet sealed.
    run: Option<Arc<StreamState>>,
    /// Frames of the run, and what they count in its stream's queue.
    items: usize,
    bytes: usize,
}

/// What an item came to.
pub(crate) struct Made {
    /// What it counts in its stream's queue.
    pub(crate) charged_bytes: usize,
    /// Items of its stream that the queue does not count yet, and what they will count.
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

impl SharedWriter {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self { writer: pool.writer(), run: None, items: 0, bytes: 0 }
    }

    /// The pool, when frames that wait somewhere hold more segments than its bound allows.
    pub(crate) fn over_pinned(&self) -> Option<Pool> {
        let pool = self.writer.pool();
        pool.over_pinned().then(|| pool.clone())
    }

    /// True while frames are committed and not yet cut.
    pub(crate) fn has_run(&self) -> bool {
        self.run.is_some()
    }

    /// True while it has frames of another stream than `stream`.
    #[inline]
    pub(crate) fn has_run_of_another(&self, stream: &Arc<StreamState>) -> bool {
        self.run.as_ref().is_some_and(|run| !Arc::ptr_eq(run, stream))
    }

    /// Seals the run and puts it into the outbox.
    pub(crate) fn cut(&mut self, outbox: &mut Outbox) {
        let Some(stream) = self.run.take() else { return };
        self.items = 0;
        self.bytes = 0;
        let mut last = None;
        self.writer.seal(|batch| {
            if let Some(batch) = last.replace(batch) {
                outbox.enqueue(Arc::clone(&stream), batch);
            }
        });
        if let Some(batch) = last {
            outbox.enqueue(stream, batch);
        }
    }

    /// Adds an item to the run of `stream`, which is that of the calling thread.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        stream: &Arc<StreamState>,
        encoder: &mut Encoder,
        item: &Bound<'_, PyAny>,
    ) -> Result<Made, EncodeError> {
        let goes_on = self.run.is_some();
        if !goes_on {
            self.writer.set_stream(stream.id);
        }
        let frame = OpenFrame(&mut self.writer);
        let length = encoder.encode(item, frame.0)?;
        mem::forget(frame);
        let charged_bytes = length + FRAME_OVERHEAD;
        self.items += 1;
        self.bytes += charged_bytes;
        if !goes_on {
            self.run = Some(Arc::clone(stream));
            busy_worker_alarm::ring();
        }
        Ok(Made { charged_bytes, items: self.items, bytes: self.bytes })
    }
}

/// Takes the open frame back, after an error or a panic in the encoder.
struct OpenFrame<'a>(&'a mut Writer);

impl Drop for OpenFrame<'_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
