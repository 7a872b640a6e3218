//! Processor time of the process, and the share of a core that it used lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Marks in one window: what an answer can be older than the window by is one part of so many.
const MARKS: u32 = 5;

/// Processor time that all threads of the process have used.
#[allow(unsafe_code)] // std does not tell
pub(super) fn process_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the struct; the clock exists wherever POSIX threads do, and zeros are valid too.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The processor time of the last stretch, from looks at it.
#[derive(Debug, Default)]
pub(super) struct CpuWindow {
    /// When, and what had been used by then; the first is as old as the window where enough is known.
    marks: VecDeque<(Instant, Duration)>,
}

impl CpuWindow {
    /// Takes a look; gives the share of a core that was used over the last `window`, `None` before so much is known.
    pub(super) fn share(&mut self, now: Instant, used: Duration, window: Duration) -> Option<f64> {
        let age = |mark: &(Instant, Duration)| now.saturating_duration_since(mark.0);
        while self.marks.get(1).is_some_and(|second| age(second) >= window) {
            self.marks.pop_front();
        }
        let oldest = self.marks.front().filter(|oldest| age(oldest) >= window).copied();
        if self.marks.back().is_none_or(|last| age(last) >= window / MARKS) {
            self.marks.push_back((now, used));
        }
        oldest.map(|mark| used.saturating_sub(mark.1).as_secs_f64() / age(&mark).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    #[test]
    fn time_that_a_thread_spends_is_counted() {
        let before = process_time();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        assert!(process_time() > before);
    }

    #[test]
    fn the_share_is_that_of_the_last_window() {
        let start = Instant::now();
        let mut window = CpuWindow::default();
        // A core is busy for the first ten seconds and rests from then on.
        let look = |second: u64| {
            window.share(start + Duration::from_secs(second), Duration::from_secs(second.min(10)), WINDOW)
        };
        let shares: Vec<_> = (0..20).map(look).collect();
        assert!(shares[..5].iter().all(Option::is_none), "{shares:?}");
        assert!(shares[5..=10].iter().flatten().all(|&share| (share - 1.0).abs() < 0.01), "{shares:?}");
        assert!(shares[15..].iter().flatten().all(|&share| share < 0.01), "{shares:?}");
    }

    #[test]
    fn a_long_window_keeps_few_marks() {
        let start = Instant::now();
        let mut window = CpuWindow::default();
        for second in 0..10_000 {
            window.share(start + Duration::from_secs(second), Duration::ZERO, Duration::from_secs(3600));
        }
        assert!(window.marks.len() <= MARKS as usize + 2, "{}", window.marks.len());
    }
}
