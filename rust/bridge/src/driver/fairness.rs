//! The fairness of a driver: how long a step of its task goes on before other tasks get a turn.

use std::time::{Duration, Instant};

use super::flush_policy::is_slow;

/// Items made in one step of the task before other tasks get a turn: the flush and the loop's own work are spread over
/// them, and a neighbour waits for well under a millisecond.
const ITEMS_PER_STEP: u32 = 256;

/// Time of one step after which other tasks get a turn.
const TIME_PER_STEP: Duration = Duration::from_micros(500);

/// Most items between two looks at the clock, which costs a tenth of a fast item.
const MAX_STRIDE: u32 = 8;

/// What to do after an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Make the next one.
    Go,
    /// Flush what there is, then go on.
    Flush,
    /// Let other tasks run.
    Yield,
}

/// Looks at the clock every item while items are slow, every [`MAX_STRIDE`] items while they are fast.
#[derive(Debug)]
pub(super) struct CoopBudget {
    /// When the step began, as far as is known: a fast one begins at its first look.
    began: Option<Instant>,
    looked: Instant,
    items: u32,
    since_look: u32,
    stride: u32,
}

impl CoopBudget {
    pub(super) fn new() -> Self {
        Self { began: None, looked: Instant::now(), items: 0, since_look: 0, stride: 1 }
    }

    /// A step of the task begins.
    pub(super) fn begin(&mut self) {
        self.items = 0;
        self.began = None;
        if self.since_look + 1 >= self.stride {
            self.looked = Instant::now();
            self.began = Some(self.looked);
        }
    }

    /// An item was made.
    #[inline]
    pub(super) fn item(&mut self) -> Pace {
        self.items += 1;
        self.since_look += 1;
        if self.since_look < self.stride {
            return Pace::Go;
        }
        self.look()
    }

    /// When it last looked at the clock: at most [`MAX_STRIDE`] items ago.
    pub(super) fn looked(&self) -> Instant {
        self.looked
    }

    fn look(&mut self) -> Pace {
        let now = Instant::now();
        let began = *self.began.get_or_insert_with(|| {
            self.looked = now;
            now
        });
        let elapsed = now - self.looked;
        self.looked = now;
        self.since_look = 0;
        self.stride = if is_slow(elapsed) { 1 } else { (self.stride * 2).min(MAX_STRIDE) };
        if self.items >= ITEMS_PER_STEP || now - began > TIME_PER_STEP {
            Pace::Yield
        } else if is_slow(elapsed) {
            Pace::Flush
        } else {
            Pace::Go
        }
    }
}
