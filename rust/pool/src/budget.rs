//! The budget of a pool: the ceiling of what it hands out, and the half of it that incoming bodies may have.

use crate::sync::{Arc, AtomicUsize, Ordering};

/// Which way the bytes of a buffer travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

/// Counts handed-out memory. Never blocks: a charge is taken or refused.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    held: AtomicUsize,
    inbound: AtomicUsize,
    peak: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, held: AtomicUsize::new(0), inbound: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Takes `bytes` if the ceiling allows it; inbound may have half of the ceiling.
    pub(crate) fn charge(this: &Arc<Self>, direction: Direction, bytes: usize) -> Option<Charge> {
        if direction == Direction::Inbound {
            add_up_to(&this.inbound, bytes, this.limit(direction))?;
        }
        let Some(held) = add_up_to(&this.held, bytes, this.max) else {
            if direction == Direction::Inbound {
                this.inbound.fetch_sub(bytes, Ordering::Relaxed);
            }
            return None;
        };
        this.peak.fetch_max(held, Ordering::Relaxed);
        Some(Charge { budget: this.clone(), direction, bytes })
    }

    /// Most that may be held in a direction.
    pub(crate) fn limit(&self, direction: Direction) -> usize {
        if direction == Direction::Inbound { self.max / 2 } else { self.max }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn inbound(&self) -> usize {
        self.inbound.load(Ordering::Relaxed)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

fn add_up_to(counter: &AtomicUsize, bytes: usize, max: usize) -> Option<usize> {
    let fits = |now: usize| now.checked_add(bytes).filter(|&sum| sum <= max);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok().map(|before| before + bytes)
}

/// Bytes of the budget that are taken; given back on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    direction: Direction,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.direction == Direction::Inbound {
            self.budget.inbound.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
