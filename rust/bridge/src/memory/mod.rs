//! The memory of the process: giving back what malloc and Python keep after a burst, and reporting how much is whose.

mod allocator;
mod cpu;
mod idle;
mod idle_watch;
mod malloc;
mod release;
mod report;
mod resident;
mod settings;

pub(crate) use idle_watch::watch;
pub(crate) use report::{Figures, apply_memory, count_blocks, memory_obstacles, memory_snapshot};
