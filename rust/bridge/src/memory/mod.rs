//! The process's side of memory: giving back what malloc and Python keep after a burst, and saying whose memory it is.

mod allocator;
mod cpu;
mod load;
mod malloc;
mod release;
mod report;
mod resident;
mod settings;
mod watch;

pub(crate) use report::{Figures, apply_memory, count_blocks, memory_obstacles, memory_snapshot};
pub(crate) use watch::watch;
