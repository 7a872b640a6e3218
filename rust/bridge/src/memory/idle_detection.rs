//! The decision that the process is idle enough to give memory back.

use std::time::{Duration, Instant};

/// Below this part of the recent peak the process counts as idle: one subscription without end must not keep it busy.
const IDLE_PART: f64 = 0.1;

/// The peak halves in so many idle timeouts: long enough to remember a burst until the process is idle after it, short
/// enough that a lasting lower load becomes the new measure.
const PEAK_HALF_LIFE: f64 = 12.0;

/// Shortest time between two releases.
const RELEASE_INTERVAL: Duration = Duration::from_secs(30);

/// Above this share of a core the process is at work, whatever its streams do.
const BUSY_SHARE: f64 = 0.1;

/// What must be resident above the last floor for Python's share, as a part of that floor.
const PYTHON_GAIN_PART: usize = 4;

/// What the engines of the process have to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Queued and not yet taken by consumers.
    pub(super) in_flight_bytes: usize,
    /// Streams that lived at some time since the last look.
    pub(super) streams: usize,
}

/// One figure of the load with its recent peak.
#[derive(Debug, Default)]
struct Peak {
    value: f64,
}

impl Peak {
    /// Takes a look; true: the figure is below the idle part of the peak, or there is nothing.
    fn is_idle(&mut self, now: usize, decay: f64) -> bool {
        let now = now as f64;
        self.value = now.max(self.value * decay);
        now == 0.0 || now < self.value * IDLE_PART
    }
}

/// Decides when a release is due, from looks at the load.
#[derive(Debug)]
pub(super) struct Trigger {
    in_flight: Peak,
    streams: Peak,
    looked: Instant,
    idle_since: Option<Instant>,
    released: Option<Instant>,
    /// Resident bytes that the last release left, or that the first look found.
    floor: usize,
    /// The same of the last release that gave Python's share back, or fewer where one without it left fewer.
    python_floor: usize,
}

impl Trigger {
    pub(super) fn new(now: Instant, resident: usize) -> Self {
        Self {
            in_flight: Peak::default(),
            streams: Peak::default(),
            looked: now,
            idle_since: None,
            released: None,
            floor: resident,
            python_floor: resident,
        }
    }

    /// Takes a look; true: the process has been idle for `idle_timeout`, and the last release is long enough ago.
    pub(super) fn is_idle(&mut self, now: Instant, load: Load, idle_timeout: Duration) -> bool {
        let half_lives = now.saturating_duration_since(self.looked).as_secs_f64()
            / (PEAK_HALF_LIFE * idle_timeout.as_secs_f64()).max(1.0);
        let decay = (-half_lives).exp2();
        self.looked = now;
        let idle = self.in_flight.is_idle(load.in_flight_bytes, decay) & self.streams.is_idle(load.streams, decay);
        if !idle {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        let rested = self.released.is_none_or(|released| now.saturating_duration_since(released) >= RELEASE_INTERVAL);
        rested && now.saturating_duration_since(since) >= idle_timeout
    }

    /// Whether so much is resident that giving malloc's share back is worth its time.
    pub(super) fn is_worth(&self, resident: usize, min_gain: usize) -> bool {
        resident >= self.floor.saturating_add(min_gain)
    }

    /// Why giving Python's share back is not worth its time now, or would disturb; `None`: it may be done.
    pub(super) fn python_obstacle(&self, resident: usize, min_gain: usize, cpu_share: Option<f64>) -> Option<String> {
        let gain = min_gain.max(self.python_floor / PYTHON_GAIN_PART);
        if resident < self.python_floor.saturating_add(gain) {
            let grown = resident.saturating_sub(self.python_floor) >> 20;
            return Some(format!(
                "resident memory has grown by {grown} MiB, of the {} MiB that are needed",
                gain >> 20
            ));
        }
        match cpu_share {
            Some(share) if share < BUSY_SHARE => None,
            Some(share) => Some(format!("the process used {:.0} % of a core", share * 100.0)),
            None => Some("the process has not been watched for long enough".into()),
        }
    }

    /// A release was done, of malloc's share and perhaps of Python's.
    pub(super) fn note_release(&mut self, now: Instant, left: usize, with_python: bool) {
        self.released = Some(now);
        self.floor = left;
        self.python_floor = if with_python { left } else { left.min(self.python_floor) };
    }

    /// A release was tried and could not be done: the next one is as far away as after one that was.
    pub(super) fn note_attempt(&mut self, now: Instant) {
        self.released = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);
    const MIB: usize = 1 << 20;

    /// Looks once a second at a load and says at which seconds a release was due.
    fn due(trigger: &mut Trigger, start: Instant, loads: &[Load]) -> Vec<usize> {
        let look = |(second, &load)| {
            let now = start + Duration::from_secs(second as u64);
            trigger.is_idle(now, load, IDLE).then_some(second)
        };
        loads.iter().enumerate().filter_map(look).collect()
    }

    fn streams(streams: usize) -> Load {
        Load { in_flight_bytes: streams * 100, streams }
    }

    #[test]
    fn a_release_is_due_when_the_idle_timeout_has_passed_after_a_burst() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        let loads = [vec![streams(96); 3], vec![streams(0); 8]].concat();
        assert_eq!(due(&mut trigger, start, &loads), [8, 9, 10]);
    }

    #[test]
    fn one_endless_subscription_does_not_disable_it() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        let loads = [vec![streams(96); 3], vec![streams(1); 8]].concat();
        assert_eq!(due(&mut trigger, start, &loads), [8, 9, 10]);
    }

    #[test]
    fn bytes_in_flight_alone_keep_the_process_busy() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        let stalled = Load { in_flight_bytes: 10 * MIB, streams: 1 };
        let loads = [vec![Load { in_flight_bytes: 20 * MIB, streams: 96 }; 3], vec![stalled; 10]].concat();
        assert_eq!(due(&mut trigger, start, &loads), [0; 0]);
    }

    #[test]
    fn a_steady_load_is_never_idle() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        assert_eq!(due(&mut trigger, start, &vec![streams(12); 600]), [0; 0]);
    }

    #[test]
    fn a_lasting_lower_load_becomes_the_new_measure() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        let loads = [vec![streams(1000); 3], vec![streams(50); 1000]].concat();
        let due = due(&mut trigger, start, &loads);
        assert!(due.contains(&8) && !due.contains(&900), "{due:?}");
    }

    #[test]
    fn releases_are_half_a_minute_apart() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 0);
        trigger.note_release(start, 0, false);
        let due = due(&mut trigger, start, &vec![streams(0); 40]);
        assert_eq!(due.first(), Some(&30));
    }

    #[test]
    fn a_release_is_worth_it_above_what_the_last_one_left() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 100 * MIB);
        assert!(!trigger.is_worth(163 * MIB, 64 * MIB));
        assert!(trigger.is_worth(164 * MIB, 64 * MIB));
        trigger.note_release(start, 150 * MIB, false);
        assert!(!trigger.is_worth(164 * MIB, 64 * MIB));
    }
    #[test]
    fn pythons_share_goes_back_above_a_quarter_of_what_the_last_release_of_it_left() {
        let start = Instant::now();
        let mut trigger = Trigger::new(start, 1000 * MIB);
        let may = |trigger: &Trigger, mib: usize| trigger.python_obstacle(mib * MIB, 64 * MIB, Some(0.0)).is_none();
        assert!(!may(&trigger, 1249) && may(&trigger, 1250));
        // What a release of malloc's share leaves is no floor for Python's, unless it is lower.
        trigger.note_release(start, 1240 * MIB, false);
        assert!(!may(&trigger, 1249) && may(&trigger, 1250));
        trigger.note_release(start, 100 * MIB, false);
        assert!(!may(&trigger, 163) && may(&trigger, 164));
        trigger.note_release(start, 200 * MIB, true);
        assert!(!may(&trigger, 263) && may(&trigger, 264));
    }

    #[test]
    fn pythons_share_stays_while_the_process_works() {
        let trigger = Trigger::new(Instant::now(), 0);
        let obstacle = |share| trigger.python_obstacle(100 * MIB, 64 * MIB, share);
        assert_eq!(obstacle(Some(0.09)), None);
        assert_eq!(obstacle(Some(0.34)).as_deref(), Some("the process used 34 % of a core"));
        assert!(obstacle(None).is_some());
    }
}
