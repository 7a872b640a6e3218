//! The look at the process, on the runtime's timer.

use std::time::{Duration, Instant};

use super::load::{Load, Trigger};
use super::release::{release_malloc, release_python};
use super::resident::resident;
use super::settings::{self, IdleRelease};
use crate::engine::activity;

/// Idle timeout where there is no engine; the default of pools.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks in one idle timeout, and the bounds of the time between two looks.
const LOOKS: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Gives memory back whenever the process is idle, for as long as the runtime runs.
pub(crate) async fn watch() {
    let mut trigger = Trigger::new(Instant::now(), resident().unwrap_or_default());
    let mut started = 0;
    let mut idle_timeout = IDLE_TIMEOUT;
    loop {
        tokio::time::sleep((idle_timeout / LOOKS).clamp(SHORTEST, LONGEST)).await;
        let activity = activity();
        idle_timeout = activity.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        let begun = usize::try_from(activity.started.saturating_sub(started)).unwrap_or(usize::MAX);
        started = activity.started;
        let load = Load { in_flight_bytes: activity.in_flight_bytes, streams: activity.live.saturating_add(begun) };
        let settings = settings::current();
        let idle = trigger.is_idle(Instant::now(), load, idle_timeout);
        if !idle || settings.idle_release == IdleRelease::Off {
            continue;
        }
        let Some(now) = resident() else { continue };
        if !trigger.is_worth(now, settings.min_gain) {
            continue;
        }
        if settings.idle_release == IdleRelease::All {
            release_python().await;
        }
        release_malloc().await;
        trigger.note_release(Instant::now(), resident().unwrap_or(now));
    }
}
