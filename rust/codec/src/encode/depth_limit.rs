//! Limits on the depth of an item and the number of its values: those of the codec, of the thread's stack, and of the
//! encodings that this one runs inside.

use std::cell::Cell;

use crate::Limits;
use crate::stack_limit::{self, Room, THREAD};

/// Name of the `Limits` field that was passed, and what was found.
pub(super) type Passed = (&'static str, String);

/// Containers that all encodings inside one another on a thread may have open.
const MAX_OPEN: usize = Limits::MAX_DEPTH;

/// What the Python code between two of them counts.
const CODE: usize = 12;

/// What an item has open and may still open.
pub(super) struct DepthLimit {
    /// Times that Python code may have run.
    runs: Cell<usize>,
    /// Containers that encodings around this one have open on this thread.
    around: usize,
    depth: usize,
    /// Containers that may open before the stack is looked at for each; once that is done, they are fewer than none.
    free: Cell<isize>,
    /// What `free` was when none was open.
    granted: isize,
    room: Room,
    nodes_left: Cell<usize>,
}

impl Drop for DepthLimit {
    fn drop(&mut self) {
        if self.runs.get() > 0 {
            THREAD.with(|thread| thread.open.set(self.around));
        }
    }
}

impl DepthLimit {
    /// For an item within `limits`; `code`: Python code may run between its containers.
    pub(super) fn new(limits: &Limits, code: bool) -> Self {
        let (around, (room, fit)) = THREAD.with(|thread| (thread.open.get(), Room::for_containers(thread)));
        let depth = limits.max_depth.min(MAX_OPEN.saturating_sub(around));
        // Where Python code runs between two containers, nobody knows what they take.
        let granted = if code { 0 } else { depth.min(fit).cast_signed() };
        Self {
            runs: Cell::new(0),
            around,
            depth,
            free: Cell::new(granted),
            granted,
            room,
            nodes_left: Cell::new(limits.max_nodes.saturating_sub(1)),
        }
    }

    /// How often [`count_run`](Self::count_run) was called.
    pub(super) fn runs(&self) -> usize {
        self.runs.get()
    }

    /// Counts a run of Python code, which may encode as well.
    pub(super) fn count_run(&self) -> Result<(), Passed> {
        self.runs.set(self.runs.get() + 1);
        let open = self.around + self.open() + CODE;
        if self.around > 0 && open > MAX_OPEN {
            return Err(too_many_around());
        }
        if !self.room.holds(stack_limit::FOR_CODE) {
            return Err(too_small_a_stack());
        }
        THREAD.with(|thread| thread.open.set(open));
        Ok(())
    }

    /// True if a container of `len` values may open; else [`check`](Self::check) knows.
    #[inline]
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        self.free.get() > 0 && self.nodes_left.get() >= len
    }

    /// Counts a container of `len` values that opens.
    #[inline]
    pub(super) fn open_container(&self, len: usize) {
        let free = self.free.get();
        debug_assert!(
            free <= 0 || free.cast_unsigned() <= self.room.containers().saturating_add(1),
            "a container takes more of the stack than it is thought to"
        );
        self.free.set(free - 1);
        self.nodes_left.set(self.nodes_left.get() - len);
    }

    /// Counts a container that ends.
    #[inline]
    pub(super) fn close_container(&self) {
        self.free.set(self.free.get() + 1);
    }

    /// Containers that are open.
    fn open(&self) -> usize {
        (self.granted - self.free.get()).cast_unsigned()
    }

    /// Whether a container of `len` values may open, after all.
    pub(super) fn check(&self, limits: &Limits, len: usize) -> Result<(), Passed> {
        let Limits { max_depth, max_nodes, .. } = limits;
        let too_many = self.nodes_left.get() < len;
        if !self.room.holds(0) {
            Err(too_small_a_stack())
        } else if self.open() < self.depth && !too_many {
            Ok(())
        } else if self.open() < self.depth {
            Err(("max_nodes", format!("more than {max_nodes} values")))
        } else if self.depth < *max_depth {
            Err(too_many_around())
        } else {
            Err(("max_depth", format!("more than {max_depth} containers inside one another")))
        }
    }
}

fn too_many_around() -> Passed {
    let reason = format!("more than {MAX_OPEN} containers, those of encodings around this one included");
    ("max_depth", reason)
}

fn too_small_a_stack() -> Passed {
    ("max_depth", stack_limit::TOO_SMALL.into())
}
