//! The dispatcher: the runtime's task that delivers whole handoffs of workers to their consumers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use pybridge_pool::Batch;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ending::Ending;
use super::stream_state::StreamState;
use crate::base::fault;
use crate::base::lock::{Mutex, MutexGuard, lock};

/// Something for the consumer of one stream.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) stream: Arc<StreamState>,
    pub(crate) payload: Payload,
}

#[derive(Debug)]
pub(crate) enum Payload {
    Batch(Batch),
    Ending(Ending),
}

impl Delivery {
    /// Puts it into the stream's queue and wakes the consumer. A panic on the way ends the stream, and is nobody else's.
    pub(crate) fn deliver(self) {
        let Self { stream, payload } = self;
        let deliver = || {
            fault::reach(fault::Point::Deliver);
            match payload {
                Payload::Batch(batch) => stream.deliver(batch),
                Payload::Ending(ending) => stream.deliver_ending(ending),
            }
        };
        if catch_unwind(AssertUnwindSafe(deliver)).is_err() {
            stream.fail_internally();
        }
    }
}

pub(crate) type Dispatcher = UnboundedSender<Vec<Delivery>>;

static RUNNING: Mutex<Option<Dispatcher>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Dispatcher>> {
    lock(&RUNNING)
}

/// The way to the dispatcher; `None` before the runtime's start.
pub(crate) fn dispatcher() -> Option<Dispatcher> {
    running().clone()
}

/// Makes the task; whoever asks for the dispatcher from now on finds it.
pub(crate) fn run_dispatcher() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (sender, receiver) = unbounded_channel();
    let old = running().replace(sender);
    drop(old);
    Box::pin(Handoffs(receiver).run())
}

/// Handoffs on their way. The task never waits for a consumer; the streams' credit bounds what may be queued.
struct Handoffs(UnboundedReceiver<Vec<Delivery>>);

impl Handoffs {
    async fn run(mut self) {
        while let Some(turn) = self.0.recv().await {
            turn.into_iter().for_each(Delivery::deliver);
        }
    }
}

impl Drop for Handoffs {
    /// The runtime goes: consumers elsewhere still get what is under way, endings above all.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(turn) = self.0.try_recv() {
            turn.into_iter().for_each(Delivery::deliver);
        }
    }
}
