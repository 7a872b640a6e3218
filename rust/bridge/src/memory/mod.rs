//! The memory of the process: giving back what malloc and Python keep after a burst, and reporting how much is whose.

mod allocator;
mod cpu;
mod empty_free_lists;
mod give_memory_back;
mod idle_detection;
mod malloc;
mod python_kept;
mod release_when_idle;
mod report;
mod resident;
mod settings;

pub(crate) use release_when_idle::watch;
pub(crate) use report::{Figures, apply_memory, count_blocks, memory_obstacles, memory_snapshot};
