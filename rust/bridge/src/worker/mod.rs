//! Event-loop threads: the only place, with the driver, where Python runs.

mod alarm;
mod attach;
mod calls;
mod cell;
mod dedicated;
mod entering;
mod handoff;
mod inbox;
mod lag;
mod lendable;
mod lifespan;
mod locate;
mod mailbox;
mod pins;
mod port;
mod prompt;
mod reader;
mod release;
mod stall;
mod sync;
mod thread;
mod wakes;
mod wakeup;
mod watch;

#[cfg(feature = "naive")]
pub(crate) use attach::attach;
pub(crate) use attach::{at_home, attaches, in_slot};
pub(crate) use cell::ThreadCell;
pub(crate) use dedicated::{PyWorker, open_port, shared_worker};
pub(crate) use entering::{current_lifespan, wait_for};
pub(crate) use lag::watch_loops;
pub(crate) use lendable::Lendable;
pub(crate) use lifespan::{Gate, leave_lifespans};
pub(crate) use locate::{port_of_running_loop as running_port, running_loop, trio_runs_here};
pub(crate) use mailbox::{Command, Mailbox};
pub(crate) use port::Port;
pub(crate) use prompt::{relieve_workers, ring};
pub(crate) use release::{Deferred, deferred_counts, drain_orphans};
pub(crate) use stall::finish_reports;
pub(crate) use wakes::{Callback, Wakes};
pub(crate) use watch::{run_on_any, workers};
