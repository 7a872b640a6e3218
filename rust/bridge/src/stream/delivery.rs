//! A batch or an ending on its way to the consumer of one stream.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pybridge_pool::Batch;

use super::core::StreamCore;
use super::ending::Ending;
use crate::fault;

/// Something for the consumer of one stream.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) core: Arc<StreamCore>,
    pub(super) parcel: Parcel,
}

#[derive(Debug)]
pub(super) enum Parcel {
    Batch(Batch),
    Ending(Ending),
}

impl Delivery {
    /// Puts it into the stream's queue and wakes the consumer. A panic on the way ends the stream, and is nobody else's.
    pub(super) fn hand_over(self) {
        let Self { core, parcel } = self;
        let deliver = || {
            fault::reach(fault::Point::Deliver);
            match parcel {
                Parcel::Batch(batch) => core.deliver(batch),
                Parcel::Ending(ending) => core.deliver_ending(ending),
            }
        };
        if catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            core.fail_internally();
        }
    }
}
