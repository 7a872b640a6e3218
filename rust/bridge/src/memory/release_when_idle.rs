//! The watch over the process's memory, on the runtime's timer.

use std::time::{Duration, Instant};

use super::cpu::{CpuWindow, process_time};
use super::give_memory_back::{release_malloc, release_python};
use super::idle_detection::{Load, Trigger};
use super::python_kept::note_python_obstacle;
use super::resident::resident;
use super::settings::{self, IdleRelease, Settings};
use crate::state::activity;

/// Idle timeout where there is no engine; the default of pools.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks in one idle timeout, and the bounds of the time between two looks.
const LOOKS: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Gives memory back whenever the process is idle, for as long as the runtime runs.
pub(crate) async fn watch() {
    let mut trigger = Trigger::new(Instant::now(), resident().unwrap_or_default());
    let mut cpu = CpuWindow::default();
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
        let now = Instant::now();
        let cpu_share = cpu.share(now, process_time(), idle_timeout.max(SHORTEST));
        let idle = trigger.is_idle(now, load, idle_timeout);
        if !idle || settings.idle_release == IdleRelease::Off {
            continue;
        }
        if let Some(found) = resident() {
            release(&mut trigger, settings, found, cpu_share).await;
        }
    }
}

/// Gives back what is worth it and disturbs nobody.
async fn release(trigger: &mut Trigger, settings: Settings, found: usize, cpu_share: Option<f64>) {
    let malloc_is_worth = trigger.is_worth(found, settings.min_gain);
    let mut python_obstacle = match settings.idle_release {
        IdleRelease::All => trigger.python_obstacle(found, settings.min_gain, cpu_share),
        IdleRelease::Off | IdleRelease::Malloc => Some("idle_release says so".into()),
    };
    let tried = python_obstacle.is_none();
    if tried {
        python_obstacle = release_python().await.err();
    }
    let with_python = python_obstacle.is_none();
    let gives_back = malloc_is_worth || with_python;
    if !gives_back && !tried {
        return;
    }
    // Whoever sees the release on record sees why Python's share stayed.
    note_python_obstacle(python_obstacle);
    if gives_back {
        release_malloc().await;
        trigger.note_release(Instant::now(), resident().unwrap_or(found), with_python);
    } else {
        trigger.note_attempt(Instant::now());
    }
}
