//! The one tokio runtime: started lazily, never blocked, stopped before the interpreter goes.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pybridge_pool::Pool;
use tokio::runtime::{Builder, Handle, Runtime};

use super::fork::{Forked, check_fork, forked, watch_forks};
use super::lock::{Mutex, MutexGuard, lock};

/// Runtime threads unless configured: enough to receive while one thread produces.
const MAX_DEFAULT_WORKERS: usize = 2;

/// One processor is the producer's: where there are only two, a second runtime thread does nothing but wake the first.
pub(crate) fn default_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(MAX_DEFAULT_WORKERS, std::num::NonZero::get);
    processors.saturating_sub(1).clamp(1, MAX_DEFAULT_WORKERS)
}

/// Longest wait for runtime threads at exit.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

static SHARED: Mutex<Shared> = Mutex::new(Shared { state: State::Idle { workers: None }, background: Vec::new() });
static ENDING: AtomicBool = AtomicBool::new(false);
static EXITING: AtomicBool = AtomicBool::new(false);

/// Makes a task that runs as long as the runtime does. It is called under the runtime's lock.
pub(crate) type MakeTask = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

struct Shared {
    state: State,
    /// Tasks for the runtime's start.
    background: Vec<MakeTask>,
}

enum State {
    Idle { workers: Option<usize> },
    Running { handle: Handle, owned: Option<Runtime>, workers: usize },
    Stopped,
}

/// Why the runtime cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The process forked after the runtime had started.
    #[error("pybridge was started before this process was forked")]
    Forked,
    /// The interpreter is going away.
    #[error("the interpreter is shutting down")]
    Stopped,
    /// The runtime runs already, with other settings.
    #[error("the runtime runs already, with other settings")]
    Configured,
    /// The threads could not be started.
    #[error("the runtime's threads could not be started")]
    Threads,
}

impl From<Forked> for RuntimeError {
    fn from(_: Forked) -> Self {
        Self::Forked
    }
}

fn shared() -> MutexGuard<'static, Shared> {
    lock(&SHARED)
}

/// Runs a task for as long as the runtime runs: from now on, or from the runtime's start.
pub(crate) fn run_in_background(task: MakeTask) {
    let mut shared = shared();
    if let State::Running { handle, .. } = &shared.state {
        drop(handle.spawn(task()));
    }
    shared.background.push(task);
}

/// Sets the number of runtime threads, before the first use.
///
/// # Errors
/// The runtime runs with another number, or another number was set before.
pub fn configure(workers: usize) -> Result<(), RuntimeError> {
    match &mut shared().state {
        State::Idle { workers: set @ None } => {
            *set = Some(workers);
            Ok(())
        }
        State::Idle { workers: Some(set) } | State::Running { workers: set, .. } if *set == workers => Ok(()),
        State::Stopped => Err(RuntimeError::Stopped),
        _ => Err(RuntimeError::Configured),
    }
}

/// Makes the bridge run on the host's runtime instead of its own. Call it before the first engine is made.
///
/// The runtime needs its timers (`enable_time`) and must outlive the engines.
///
/// # Errors
/// The bridge has a runtime already.
pub fn use_handle(handle: Handle) -> Result<(), RuntimeError> {
    let mut shared = shared();
    if !matches!(shared.state, State::Idle { .. }) {
        return Err(RuntimeError::Configured);
    }
    watch_forks();
    shared.run(handle, None, 0);
    Ok(())
}

/// The runtime, started if it was not.
///
/// # Errors
/// After a fork, at exit, or when threads cannot be had.
pub fn start() -> Result<Handle, RuntimeError> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    check_fork()?;
    let mut shared = shared();
    let workers = match &shared.state {
        State::Running { handle, .. } => return Ok(handle.clone()),
        State::Stopped => return Err(RuntimeError::Stopped),
        State::Idle { workers } => workers.unwrap_or_else(default_workers),
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(1)
        .thread_name_fn(|| format!("pybridge-rt-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()
        .map_err(|_| RuntimeError::Threads)?;
    watch_forks();
    let handle = runtime.handle().clone();
    shared.run(handle.clone(), Some(runtime), workers);
    Ok(handle)
}

impl Shared {
    fn run(&mut self, handle: Handle, owned: Option<Runtime>, workers: usize) {
        for task in &self.background {
            drop(handle.spawn(task()));
        }
        self.state = State::Running { handle, owned, workers };
    }
}

/// The running runtime, if there is one.
pub(crate) fn handle() -> Option<Handle> {
    match &shared().state {
        State::Running { handle, .. } => Some(handle.clone()),
        State::Idle { .. } | State::Stopped => None,
    }
}

/// Lets a pool decay by the runtime's clock until it is dropped; once per pool, however often it is called.
pub(crate) fn maintain(pool: &Pool) {
    static MAINTAINED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let Ok(handle) = start() else { return };
    let id = pool.id();
    let mut maintained = lock(&MAINTAINED);
    if maintained.contains(&id) {
        return;
    }
    maintained.push(id);
    let mut pause = pool.next_tick();
    let pool = pool.downgrade();
    handle.spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let Some(pool) = pool.upgrade() else { break };
            pool.tick(Instant::now());
            pause = pool.next_tick();
        }
        lock(&MAINTAINED).retain(|&known| known != id);
    });
}

/// Stops and joins the runtime's threads. A host's own runtime is left alone.
pub(crate) fn shutdown() {
    EXITING.store(true, Ordering::Release);
    if forked() {
        // Another thread may have held the lock when this child was made, and the threads to stop are the parent's.
        return;
    }
    let stopped = std::mem::replace(&mut shared().state, State::Stopped);
    if let State::Running { owned: Some(runtime), .. } = stopped {
        // A thread of its own: on one that runs another runtime's tasks tokio refuses to wait.
        let stop =
            std::thread::Builder::new().name("pybridge-stop".into()).spawn(|| runtime.shutdown_timeout(STOP_TIMEOUT));
        drop(stop.map(std::thread::JoinHandle::join));
    }
}

/// Notes that the process ends: what goes wrong from now on is no news.
pub(crate) fn begin_to_end() {
    ENDING.store(true, Ordering::Relaxed);
}

/// True once the process has begun to end.
pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// True once the interpreter is going away.
pub(crate) fn exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

/// # Errors
/// The interpreter is going away, and pybridge has stopped for good.
pub(crate) fn check_exit() -> Result<(), RuntimeError> {
    if exiting() { Err(RuntimeError::Stopped) } else { Ok(()) }
}

/// A fixed instant that stored times count from.
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
