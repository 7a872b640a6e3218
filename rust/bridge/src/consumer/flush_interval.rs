//! The flush interval of chunks: batches are gathered until the next tick, and leave as one chunk.
//!
//! One clock gives the ticks of all streams, so that their chunks leave together and wake the runtime once for many.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pybridge_pool::Batch;
use tokio::time::{Instant, Sleep};

use crate::base::runtime;
use crate::state::{Ending, StreamState, charged_bytes};

/// Where the intervals of all streams are counted from.
static CLOCK_START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// By this part of an interval a chunk may be late without missing the next tick.
const LATE: u32 = 8;

/// The batches of one stream between two chunks. The first chunk and the end leave at once.
#[derive(Debug)]
pub(crate) struct FlushInterval {
    interval: Duration,
    /// When the next chunk may leave; `None`: at once.
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    batches: Vec<Batch>,
    bytes: usize,
}

impl FlushInterval {
    /// `None` where the interval is zero: each chunk leaves as it crosses.
    pub(crate) fn new(interval: Duration) -> Option<Box<Self>> {
        (!interval.is_zero())
            .then(|| Box::new(Self { interval, due: None, timer: None, batches: Vec::new(), bytes: 0 }))
    }

    /// All that has come, if it may leave now, else the ending; `Pending` after `waker` was noted.
    ///
    /// What has crossed is taken from the queue at once, so that the producer has its credit back; it leaves before it is
    /// due once as much has gathered as may be in flight.
    pub(crate) fn poll(
        &mut self,
        stream: &Arc<StreamState>,
        waker: Option<&Waker>,
    ) -> Poll<Result<Vec<Batch>, Ending>> {
        loop {
            let is_due = self.due.is_none_or(|due| due <= Instant::now());
            // Nobody is to be woken for what leaves now.
            let waker = waker.filter(|_| !is_due || self.batches.is_empty());
            match stream.queue.poll_batch(waker, !is_due) {
                Poll::Ready(Some(batch)) => {
                    stream.return_credit((charged_bytes(&batch), batch.frames()));
                    self.bytes += charged_bytes(&batch);
                    self.batches.push(batch);
                    if self.bytes >= stream.queue.credit.high_bytes() {
                        return Poll::Ready(Ok(self.leave()));
                    }
                }
                Poll::Ready(None) if self.batches.is_empty() => {
                    return stream.queue.poll(None).map_ok(|batch| vec![batch]);
                }
                Poll::Ready(None) => return Poll::Ready(Ok(self.leave())),
                Poll::Pending if is_due && self.batches.is_empty() => return Poll::Pending,
                Poll::Pending if is_due => return Poll::Ready(Ok(self.leave())),
                Poll::Pending => ready!(self.poll_due(waker)),
            }
        }
    }

    fn leave(&mut self) -> Vec<Batch> {
        let now = Instant::now();
        self.due = now.checked_add(until_next(now.duration_since(*CLOCK_START), self.interval));
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }

    /// Ready when the next chunk may leave.
    fn poll_due(&mut self, waker: Option<&Waker>) -> Poll<()> {
        let (Some(due), Some(waker)) = (self.due, waker) else { return Poll::Pending };
        let timer = if let Some(timer) = &mut self.timer {
            timer
        } else {
            let Some(runtime) = runtime::handle() else { return Poll::Pending };
            let _entered = runtime.enter();
            self.timer.insert(Box::pin(tokio::time::sleep_until(due)))
        };
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(&mut Context::from_waker(waker)));
        self.due = None;
        Poll::Ready(())
    }
}

/// The time to the first tick of the clock that is an interval away, or nearly: a chunk leaves a little after its tick.
fn until_next(since_start: Duration, interval: Duration) -> Duration {
    let wait = interval.saturating_sub(interval / LATE);
    let passed = since_start.saturating_add(wait).as_nanos().checked_rem(interval.as_nanos()).unwrap_or(0);
    let rest = interval.saturating_sub(u64::try_from(passed).map_or(Duration::ZERO, Duration::from_nanos));
    wait.saturating_add(if passed == 0 { Duration::ZERO } else { rest })
}

/// Batches in one piece.
pub(crate) fn join(first: &Batch, others: impl Iterator<Item = Batch>) -> Bytes {
    let mut chunk = BytesMut::from(first.bytes());
    others.for_each(|batch| chunk.extend_from_slice(batch.bytes()));
    chunk.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_all_streams_are_due_at_the_ticks_of_one_clock() {
        let interval = Duration::from_millis(80);
        let due =
            |millis| (Duration::from_millis(millis) + until_next(Duration::from_millis(millis), interval)).as_millis();
        assert_eq!([0, 1, 10].map(due), [80; 3], "one that left a little late");
        assert_eq!([11, 40, 79, 80, 90].map(due), [160; 5], "no earlier than an interval, or nearly");
    }

    #[test]
    fn an_interval_longer_than_the_process_lives_is_waited_for() {
        let years = Duration::from_secs(500 << 25);
        assert_eq!(until_next(Duration::from_secs(1), years) + Duration::from_secs(1), years);
        assert!(until_next(Duration::from_secs(1), Duration::MAX) > years);
    }
}
