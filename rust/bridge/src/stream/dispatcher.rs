//! The runtime's task that hands whole turns of workers to their consumers.

use std::pin::Pin;
use std::sync::PoisonError;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::delivery::Delivery;
use crate::lock::{Mutex, MutexGuard};

pub(super) type Dispatcher = UnboundedSender<Vec<Delivery>>;

static RUNNING: Mutex<Option<Dispatcher>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Dispatcher>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to the dispatcher; `None` before the runtime's start.
pub(super) fn dispatcher() -> Option<Dispatcher> {
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
