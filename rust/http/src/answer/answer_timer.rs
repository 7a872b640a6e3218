//! The one timer of an answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pybridge::runtime;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// Longest interval that is waited for; what is longer counts as this.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The moment that comes so long after another.
pub(crate) fn after(moment: Instant, interval: Duration) -> Instant {
    moment + interval.min(LONGEST)
}

/// Waits for one moment after the other. It is set again only when it has fired, or has to fire earlier.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `due` has passed.
    pub(crate) fn poll(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = match &mut self.0 {
            Some(sleep) => sleep,
            None => match sleep_until(due) {
                Some(sleep) => self.0.insert(Box::pin(sleep)),
                None => return Poll::Pending,
            },
        };
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

/// A timer of the runtime that polls, or of the bridge's where that is none of tokio's. `None`: the bridge has stopped.
fn sleep_until(due: Instant) -> Option<Sleep> {
    let handle = Handle::try_current().or_else(|_| runtime::start()).ok()?;
    let _entered = handle.enter();
    Some(tokio::time::sleep_until(due))
}
