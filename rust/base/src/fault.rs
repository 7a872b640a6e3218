//! Faults that tests inject: fail or delay the n-th event of a kind. Compiled in by the cargo feature `fault`.

/// A place where a fault can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A worker is woken.
    Wakeup,
    /// A request, or an item for a Python consumer, is decoded.
    Decode,
    /// An item is encoded.
    Encode,
    /// A frame has been begun in memory of the pool.
    Acquire,
    /// A turn is handed over.
    Send,
    /// A batch or an ending is put into its stream's queue.
    Deliver,
    /// A driver takes a step.
    Step,
    /// A handler is called.
    Call,
    /// A driver begins to close its handler.
    Close,
    /// A driver gives back what its stream holds.
    Finish,
}

#[cfg(feature = "fault")]
mod active {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Point;

    static COUNTDOWN: [AtomicU64; 10] = [const { AtomicU64::new(0) }; 10];
    static DELAY_US: [AtomicU64; 10] = [const { AtomicU64::new(0) }; 10];

    /// Arms the fault: at the `nth` event from now (1 is the next) panic, or wait `delay_us` if that is not 0.
    pub fn arm(point: Point, nth: u64, delay_us: u64) {
        DELAY_US[point as usize].store(delay_us, Ordering::SeqCst);
        COUNTDOWN[point as usize].store(nth, Ordering::SeqCst);
    }

    /// Counts an event; panics or waits if it is the one that a fault was armed for.
    pub fn reach(point: Point) {
        let countdown = &COUNTDOWN[point as usize];
        if countdown.load(Ordering::SeqCst) > 0 && countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            match DELAY_US[point as usize].load(Ordering::SeqCst) {
                0 => panic!("injected fault: {point:?}"),
                delay => std::thread::sleep(Duration::from_micros(delay)),
            }
        }
    }
}

#[cfg(feature = "fault")]
pub use active::{arm, reach};

/// Does nothing: faults are not compiled in.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub fn reach(_point: Point) {}
