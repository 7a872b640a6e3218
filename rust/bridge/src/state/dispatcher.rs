//! The runtime's task that hands whole turns of workers to their consumers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use pybridge_pool::Batch;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ending::Ending;
use super::stream_state::StreamCore;
use crate::base::fault;
use crate::base::lock::{Mutex, MutexGuard};

/// Something for the consumer of one stream.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) core: Arc<StreamCore>,
    pub(crate) parcel: Parcel,
}

#[derive(Debug)]
pub(crate) enum Parcel {
    Batch(Batch),
    Ending(Ending),
}

impl Delivery {
    /// Puts it into the stream's queue and wakes the consumer. A panic on the way ends the stream, and is nobody else's.
    pub(crate) fn hand_over(self) {
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

pub(crate) type Dispatcher = UnboundedSender<Vec<Delivery>>;

static RUNNING: Mutex<Option<Dispatcher>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Dispatcher>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to the dispatcher; `None` before the runtime's start.
pub(crate) fn dispatcher() -> Option<Dispatcher> {
    running().clone()
}

/// Makes the task; whoever asks for the dispatcher from now on finds it.
pub(crate) fn dispatch() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (sender, receiver) = unbounded_channel();
    let old = running().replace(sender);
    drop(old);
    Box::pin(Turns(receiver).run())
}

/// Turns on their way. The task never waits for a consumer; the streams' credit bounds what may be queued.
struct Turns(UnboundedReceiver<Vec<Delivery>>);

impl Turns {
    async fn run(mut self) {
        while let Some(turn) = self.0.recv().await {
            turn.into_iter().for_each(Delivery::hand_over);
        }
    }
}

impl Drop for Turns {
    /// The runtime goes: consumers elsewhere still get what is under way, endings above all.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(turn) = self.0.try_recv() {
            turn.into_iter().for_each(Delivery::hand_over);
        }
    }
}
